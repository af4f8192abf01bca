import MQTT

/// The topic aliases of one connection, both ways. They end with it. [MQTT-3.3.2-7]
final class ConnectionAliases {
    var incoming = IncomingAliases()
    var outgoing: OutgoingAliases

    init(outgoing: OutgoingAliases) { self.outgoing = outgoing }
}

extension BrokerShard {
    /// The connection's tables; made when the first alias is seen or given.
    private mutating func aliases(_ c: UInt32) -> ConnectionAliases {
        if let known = connections[c].aliases { return known }
        let made = ConnectionAliases(
            outgoing: OutgoingAliases(
                maximum: Int(connections[c].outgoingAliasMaximum),
                maximumBytes: configuration.limits.topicAliasBytes))
        connections[c].aliases = made
        return made
    }

    /// PUBLISH with a topic alias: it goes on as if its client had named the topic. [MQTT-3.3.2-12]
    @inline(never)
    mutating func takeAliased(
        _ publish: Publish, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        guard let alias = publish.properties.uint16(.topicAlias, in: source),
            Int(alias) <= configuration.limits.topicAliases
        else {
            return fail(
                c, .topicAliasInvalid, "MQTT-3.3.2-9", "a topic alias above the maximum", now)
        }
        let tables = aliases(c)
        if !publish.topic.isEmpty {
            tables.incoming.set(alias, source.extracting(publish.topic.range))
            guard tables.incoming.byteCount <= configuration.limits.topicAliasBytes else {
                return fail(
                    c, .quotaExceeded, "limits.topic_alias_size",
                    "the topics with an alias are too long together", now)
            }
        }
        guard let topic = tables.incoming.topic(of: alias) else {
            return fail(
                c, .protocolError, "3.3.2.3.4", "a topic alias that was given to no topic", now)
        }
        // The message in one piece, as if it had come so: its topic is somewhere else.
        var whole: [UInt8] = []
        swap(&whole, &aliasArena)
        whole.append(contentsOf: topic)
        var named = publish
        named.topic = ByteRange(0..<topic.count)
        named.properties = publish.properties.append(
            to: &whole, from: source, leavingOut: .topicAlias)
        let start = whole.count
        whole.append(contentsOf: source.extracting(publish.payload.range))
        named.payload = ByteRange(start..<whole.count)
        takeNamed(named, nil, whole.span, c, now)
        whole.removeAll(keepingCapacity: whole.count <= Self.keptArena)
        swap(&whole, &aliasArena)
    }

    /// A message larger than this takes its arena with it.
    private static var keptArena: Int { 64 * 1024 }

    /// Chooses how a PUBLISH names its topic, and whether the client takes it so. [MQTT-3.3.2-11]
    @inline(__always)
    mutating func planAlias(
        _ head: inout PublishHead, _ view: MessageView, _ source: Span<UInt8>, _ c: UInt32
    ) {
        if connections[c].outgoingAliasMaximum == 0 { return }
        plan(&head, view, source, c)
    }

    @inline(never)
    private mutating func plan(
        _ head: inout PublishHead, _ view: MessageView, _ source: Span<UInt8>, _ c: UInt32
    ) {
        let topic = source.extracting(view.topic.range)
        head.topicTag = topicTagger.tag(topic)
        head.topicPlan = aliases(c).outgoing.plan(topic, head.topicTag)
        // An alias makes a packet larger at first: not at the price of the message.
        if case .both = head.topicPlan, head.packetSize(view) > connections[c].maximumPacketSize {
            head.topicPlan = .topic
        }
    }

    /// The PUBLISH is in the output, and will be sent: what it said of its topic counts.
    @inline(__always)
    mutating func commitAlias(
        _ head: PublishHead, _ view: MessageView, _ source: Span<UInt8>, _ c: UInt32
    ) {
        if connections[c].outgoingAliasMaximum == 0 { return }
        connections[c].aliases?.outgoing.commit(
            head.topicPlan, source.extracting(view.topic.range), head.topicTag)
    }
}
