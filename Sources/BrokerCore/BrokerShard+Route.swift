import MQTT

/// How a subscription was made, as the tree keeps it: the lower four bits of SUBSCRIBE's options, and
/// above them the subscription identifier, 0 for none.
struct SubscriptionBits {
    var rawValue: UInt32

    init(rawValue: UInt32) { self.rawValue = rawValue }

    init(_ options: SubscriptionOptions, identifier: UInt32, isBridge: Bool) {
        rawValue = UInt32(options.qos.rawValue) | identifier << 4
        // A bridge wants back neither its own messages nor the loss of their RETAIN flag.
        if options.noLocal || isBridge { rawValue |= 4 }
        if options.retainAsPublished || isBridge { rawValue |= 8 }
    }

    @inline(__always) var qosBits: UInt8 { UInt8(truncatingIfNeeded: rawValue & 3) }
    @inline(__always) var noLocal: Bool { rawValue & 4 != 0 }
    @inline(__always) var retainAsPublished: Bool { rawValue & 8 != 0 }
    @inline(__always) var identifier: UInt32 { rawValue >> 4 }
}

/// A message on its way to the sessions that asked for it: what it is, and what of it exists already.
struct Delivery {
    var view: MessageView
    /// The whole packet where it can leave as it came but for its first byte and its identifier: at the
    /// same QoS, to a client of the same version.
    var packet: ByteRange?
    var packetIsVersion5 = false
    /// The server's own word; only that is kept below `$SYS`.
    var isServers = false
    /// The counted object, once something needs it.
    var message: Message?
    /// Which one it was that was held for its commit, if it was.
    var origin: HeldOrigin?
    /// Its place among all retained messages, where there are several shards; 0 for one that is not kept.
    var stamp: UInt64 = 0
    /// Who publishes it, where it is to be retained.
    var publisher: Rights?
    /// What remains of the expiry interval now.
    var remainingExpiry: UInt32
    var now: MonotonicTime

    /// Whether the packet, if there is one, is also what these clients get.
    @inline(__always)
    func packetFits(_ options: DeliveryOptions, isVersion5: Bool) -> Bool {
        options.qos == view.qos && packetIsVersion5 == isVersion5 && !options.hasIdentifiers
    }

    /// The object that sessions and the retained messages share; made at its first use.
    @inline(__always)
    mutating func shared(in source: Span<UInt8>, counting meter: MemoryMeter) -> Message {
        if let message { return message }
        let made = Message(
            view, in: source, at: now, publisher: publisher, counting: meter)
        message = made
        return made
    }
}

extension BrokerShard {
    /// Routes a message of this shard's: to the other shards, then here. Returns how many sessions took it.
    @inline(__always)
    @discardableResult
    mutating func route(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Int {
        // What another shard may want is taken, as far as is known here.
        var sent = 0
        if position.count > 1 { sent = forward(source, &delivery, from: publisher) ? 1 : 0 }
        let taken = sent + routeHere(source, &delivery, from: publisher)
        return board.hasShares ? taken + deliverShared(source, &delivery, from: publisher) : taken
    }

    /// Routes a message that exists as an object already: a will, or what was held for a commit
    /// (`origin`). Says whether other shards must commit it, too.
    @discardableResult
    mutating func route(
        _ message: Message, from publisher: UInt32, origin: HeldOrigin? = nil,
        _ now: MonotonicTime
    ) -> Bool {
        let awaits = exchange.awaits
        guard var delivery = delivery(of: message, origin: origin, now) else { return false }
        let body = message.body
        if position.count > 1 { _ = forward(body.span, &delivery, from: publisher) }
        deliverHere(body.span, &delivery, from: publisher)
        if board.hasShares { _ = deliverShared(body.span, &delivery, from: publisher) }
        return exchange.awaits != awaits
    }

    /// Routes a message that another shard has published.
    mutating func routeHere(
        _ message: Message, stamp: UInt64, origin: HeldOrigin?, _ now: MonotonicTime
    ) {
        guard var delivery = delivery(of: message, origin: origin, now) else { return }
        delivery.stamp = stamp
        let body = message.body
        deliverHere(body.span, &delivery, from: Connection.noSession)
    }

    /// A message that is an object already, on its way; `nil`, and counted, once its time is over.
    mutating func delivery(
        of message: Message, origin: HeldOrigin?, _ now: MonotonicTime
    ) -> Delivery? {
        guard let remaining = message.remainingSeconds(at: now) else {
            counters.droppedExpired += 1
            return nil
        }
        return Delivery(
            view: message.view, message: message, origin: origin, remainingExpiry: remaining,
            now: now)
    }

    /// Routes a message that is an object to this shard's sessions.
    private mutating func deliverHere(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) {
        if restored != nil { return routeRestored(source, &delivery, from: publisher) }
        routeHere(source, &delivery, from: publisher)
    }

    @inline(__always)
    @discardableResult
    mutating func routeHere(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Int {
        if delivery.view.isRetained { retain(source, &delivery) }
        // Delivering routes nothing, so that the matches stay as they are; to move a kilobyte of them
        // out of the shard and back would cost more than many a delivery.
        let topic = source.extracting(delivery.view.topic.range)
        if !matchedTopic.isRepeated(topic, at: subscriptions.changes) {
            subscriptions.match(topic, into: &matches)
        }
        let taken = deliverMatches(source, &delivery, from: publisher)
        return taken
    }

    /// Delivers to those whom `matches` names.
    @inline(__always)
    mutating func deliverMatches(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Int {
        matches.mayOverlap
            ? deliverFolded(source, &delivery, from: publisher)
            : deliverEach(source, &delivery, from: publisher)
    }

    /// One subscription for each session.
    @inline(__always)
    private mutating func deliverEach(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Int {
        var taken = 0
        for index in 0..<matches.matches.count {
            let match = matches.matches[index]
            let bits = SubscriptionBits(rawValue: match.options)
            // [MQTT-3.8.3-3]
            if bits.noLocal && match.subscriber == publisher { continue }
            taken += 1
            let options = DeliveryOptions(
                qos: Self.granted(bits.qosBits, delivery.view.qos),
                retain: bits.retainAsPublished && delivery.view.isRetained,
                identifier: bits.identifier)
            deliver(to: match.subscriber, options, source, &delivery)
        }
        return taken
    }

    /// Several filters of one session may match: it gets one copy, at the highest QoS, with the
    /// identifiers of all of them. [MQTT-3.3.4-2], [MQTT-3.3.4-4]
    private mutating func deliverFolded(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Int {
        var taken = 0
        var index = 0
        while index < matches.matches.count {
            let subscriber = matches.matches[index].subscriber
            var isWanted = false
            var qosBits: UInt8 = 0
            var retainAsPublished = false
            var options = DeliveryOptions(qos: .atMostOnce, retain: false)
            while index < matches.matches.count && matches.matches[index].subscriber == subscriber {
                let bits = SubscriptionBits(rawValue: matches.matches[index].options)
                index += 1
                if bits.noLocal && subscriber == publisher { continue }
                isWanted = true
                qosBits = max(qosBits, bits.qosBits)
                retainAsPublished = retainAsPublished || bits.retainAsPublished
                if bits.identifier != 0 { options.add(identifier: bits.identifier) }
            }
            guard isWanted else { continue }
            taken += 1
            options.qos = Self.granted(qosBits, delivery.view.qos)
            options.retain = retainAsPublished && delivery.view.isRetained
            deliver(to: subscriber, options, source, &delivery)
        }
        return taken
    }

    @inline(__always)
    mutating func deliver(
        to s: UInt32, _ options: DeliveryOptions, _ source: Span<UInt8>,
        _ delivery: inout Delivery
    ) {
        if sessions[s].checksDeliveries,
            !mayRead(s, source.extracting(delivery.view.topic.range))
        {
            return
        }
        if !sessions[s].lookups.isEmpty { sendOvertaken(by: delivery, source, to: s) }
        if options.qos == .atMostOnce {
            deliverAtMostOnce(to: s, options, source, &delivery)
        } else {
            deliverReliably(to: s, options, source, &delivery)
        }
    }

    /// The QoS of a copy: the lower one of what was published and what was granted. [MQTT-3.8.4-8]
    @inline(__always)
    static func granted(_ qosBits: UInt8, _ published: QoS) -> QoS {
        QoS(rawValue: min(published.rawValue, qosBits)) ?? .atMostOnce
    }
}
