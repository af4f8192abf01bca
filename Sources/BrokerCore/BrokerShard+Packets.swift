import MQTT

/// Appending the server's packets to a connection's output.
extension BrokerShard {
    /// CONNACK; 3.x clients get the return code that comes nearest to the reason.
    mutating func sendConnAck(
        _ c: UInt32, sessionPresent: Bool, _ reason: ReasonCode, _ properties: PropertyWriter
    ) {
        let version = connections[c].version
        // A reason that 3.x has no code for is not answered: the connection only closes.
        guard let code = ConnAck.returnCode(for: reason, version: version),
            Self.connAckSize(properties) <= connections[c].maximumPacketSize
        else { return }
        let packet = ConnAck(
            sessionPresent: sessionPresent, reasonCode: ReasonCode(rawValue: code),
            properties: properties.properties)
        packet.encode(
            from: properties.bytes.span, version: version, into: &connections[c].output)
        counters.controlPacketsSent &+= 1
        markDirty(c)
    }

    /// How large a CONNACK of 5.0 is.
    static func connAckSize(_ properties: PropertyWriter) -> Int {
        let count = properties.bytes.count
        let body = 2 + variableByteIntegerSize(count) + count
        return 1 + variableByteIntegerSize(body) + body
    }

    /// Whether a reason string leaves its packet one that the client takes.
    func fitsReasonString(_ c: UInt32, _ detail: String, besides: Int = 0) -> Bool {
        detail.utf8.count + besides + 16 <= connections[c].maximumPacketSize
    }

    /// Whether an acknowledgement says in words what is wrong: where its client wants that, and they fit.
    /// [MQTT-3.1.2-29]
    private func mayExplain(_ c: UInt32, _ detail: String, besides: Int = 0) -> Bool {
        connections.read(c) { $0.isVersion5 && $0.wantsProblemInformation }
            && fitsReasonString(c, detail, besides: besides)
    }

    /// What is said with an end: a server that serves instead, and why, as far as the client takes it.
    /// [MQTT-3.2.2-19], [MQTT-3.14.2-3]
    func farewell(_ c: UInt32, _ detail: String, server: [UInt8]) -> PropertyWriter {
        var writer = PropertyWriter()
        if !server.isEmpty, server.count + 16 <= connections[c].maximumPacketSize {
            writer.add(.serverReference, bytes: server.span)
        }
        if fitsReasonString(c, detail, besides: writer.bytes.count) {
            writer.add(.reasonString, string: detail)
        }
        return writer
    }

    /// Whether a client takes SUBACK or UNSUBACK with so many codes. [MQTT-3.1.2-24]
    func fitsAnswer(_ c: UInt32, codes: Int) -> Bool {
        // Type, length, packet identifier, no properties: 8 bytes at most.
        codes + 8 <= connections[c].maximumPacketSize
    }

    /// DISCONNECT, which only 5.0 servers send; always in words too, for who reads no codes.
    mutating func sendDisconnect(
        _ c: UInt32, _ reason: ReasonCode, _ detail: String, server: [UInt8] = []
    ) {
        guard connections[c].isVersion5, connections[c].phase == .connected else { return }
        let writer = farewell(c, detail, server: server)
        let packet = Disconnect(reasonCode: reason, properties: writer.properties)
        packet.encode(from: writer.bytes.span, version: .v5_0, into: &connections[c].output)
        counters.controlPacketsSent &+= 1
        markDirty(c)
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP; it waits for the commit of what was recorded since `mark`.
    @inline(__always)
    mutating func sendAcknowledgement(
        _ c: UInt32, _ kind: PacketType, _ packetID: UInt16, _ reason: ReasonCode = .success,
        since mark: UInt64
    ) {
        gateAcknowledgement(c, kind, since: mark)
        let first = UInt32(kind.rawValue) << 28 | (kind == .pubRel ? 0x0200_0000 : 0)
        if reason == .success || !connections[c].isVersion5 {
            connections[c].output.append(bigEndian: first | 0x0002_0000 | UInt32(packetID))
        } else {
            connections[c].output.append(bigEndian: first | 0x0003_0000 | UInt32(packetID))
            connections[c].output.append(reason.rawValue)
        }
        counters.controlPacketsSent &+= 1
        markDirty(c)
    }

    @inline(__always)
    private mutating func gateAcknowledgement(_ c: UInt32, _ kind: PacketType, since mark: UInt64) {
        if journal.mark != mark {
            promise(c, acknowledgements: kind == .pubAck ? 1 : 0)
        } else if kind == .pubAck, connections[c].hasGates,
            let last = connections[c].gates.indices.last
        {
            // It promises nothing itself, and does not overtake what does.
            connections[c].gates[last].acknowledgements += 1
        }
    }

    /// PUBACK or PUBREC for a message that is not taken; in words too, where they fit and are wanted.
    /// [MQTT-3.4.2-2], [MQTT-3.5.2-2]
    mutating func sendRefusal(
        _ c: UInt32, _ kind: PacketType, _ packetID: UInt16, _ reason: ReasonCode,
        _ detail: String
    ) {
        guard mayExplain(c, detail) else {
            return sendAcknowledgement(c, kind, packetID, reason, since: journal.mark)
        }
        gateAcknowledgement(c, kind, since: journal.mark)
        var writer = PropertyWriter()
        writer.add(.reasonString, string: detail)
        Acknowledgement(
            kind: kind, packetID: packetID, reasonCode: reason, properties: writer.properties
        ).encode(from: writer.bytes.span, version: .v5_0, into: &connections[c].output)
        counters.controlPacketsSent &+= 1
        markDirty(c)
    }

    /// SUBACK or UNSUBACK with one code for each filter; with a reason string where it helps and is wanted.
    mutating func sendCodes(
        _ c: UInt32, _ kind: PacketType, _ packetID: UInt16, _ codes: [UInt8], detail: String,
        since mark: UInt64
    ) {
        if journal.mark != mark { promise(c) }
        var writer = PropertyWriter()
        // [MQTT-3.9.2-1]
        if !detail.isEmpty, mayExplain(c, detail, besides: codes.count) {
            writer.add(.reasonString, string: detail)
        }
        var arena: [UInt8] = []
        let properties = writer.append(to: &arena)
        let range = ByteRange(arena.count..<(arena.count + codes.count))
        arena.append(contentsOf: codes)
        let version = connections[c].version
        if kind == .subAck {
            SubAck(packetID: packetID, properties: properties, reasonCodes: range)
                .encode(from: arena.span, version: version, into: &connections[c].output)
        } else {
            UnsubAck(packetID: packetID, properties: properties, reasonCodes: range)
                .encode(from: arena.span, version: version, into: &connections[c].output)
        }
        counters.controlPacketsSent &+= 1
        markDirty(c)
    }
}

/// A PUBLISH on its way out: what differs from client to client.
struct PublishHead {
    var options: DeliveryOptions
    var duplicate = false
    /// 0 at QoS 0.
    var packetID: UInt16 = 0
    var isVersion5: Bool
    /// What remains of the Message Expiry Interval, in seconds.
    var remainingExpiry: UInt32
    /// How it names its topic, where the client takes aliases.
    var topicPlan = OutgoingAliases.Plan.topic
    var topicTag = TopicTag.none

    /// Bytes behind the fixed header.
    @inline(__always)
    func bodySize(_ view: MessageView) -> Int {
        var size = 2 + topicRange(view).count + view.payload.count
        if options.qos != .atMostOnce { size += 2 }
        if isVersion5 {
            let count = propertiesSize(view)
            size += variableByteIntegerSize(count) + count
        }
        return size
    }

    /// Bytes of the properties: the publisher's and ours.
    @inline(__always)
    private func propertiesSize(_ view: MessageView) -> Int {
        view.properties.count + options.identifiersSize + (topicPlan.alias == 0 ? 0 : 3)
    }

    /// Where the topic lies that is sent: nowhere, if an alias stands for it.
    @inline(__always)
    private func topicRange(_ view: MessageView) -> ByteRange {
        if case .alias = topicPlan { return .empty }
        return view.topic
    }

    @inline(__always)
    func packetSize(_ view: MessageView) -> Int {
        let body = bodySize(view)
        return 1 + variableByteIntegerSize(body) + body
    }

    /// Appends the packet that the publisher sent, with this client's flags and identifier.
    @inline(__always)
    func copy(
        _ packet: ByteRange, _ view: MessageView, in source: Span<UInt8>,
        into output: inout ByteBuffer
    ) {
        let start = output.count
        output.append(source.extracting(packet.range))
        let first = PacketType.publish.rawValue << 4 | options.qos.rawValue << 1
        output.patch(at: start, first | (duplicate ? 8 : 0) | (options.retain ? 1 : 0))
        // The identifier stands behind the topic.
        output.patch(
            at: start + view.topic.upperBound - packet.lowerBound, bigEndian: packetID)
    }

    /// Writes the packet; the properties leave as they came, in their order [MQTT-3.3.2-17],
    /// [MQTT-3.3.2-18], but for the expiry interval, which has become shorter [MQTT-3.3.2-6].
    @inline(__always)
    func encode(_ view: MessageView, in source: Span<UInt8>, into output: inout ByteBuffer) {
        let publish = Publish(
            duplicate: duplicate, qos: options.qos, retain: options.retain, topic: .empty,
            packetID: options.qos == .atMostOnce ? nil : packetID, payload: .empty)
        publish.encodeStart(
            topic: source.extracting(topicRange(view).range), propertiesCount: propertiesSize(view),
            payloadCount: view.payload.count, version: isVersion5 ? .v5_0 : .v3_1_1,
            into: &output)
        if isVersion5 {
            if topicPlan.alias != 0 {
                output.append(PropertyIdentifier.topicAlias.rawValue)
                output.append(bigEndian: topicPlan.alias)
            }
            if options.hasIdentifiers { options.encodeIdentifiers(into: &output) }
            output.append(source.extracting(view.properties.range))
        }
        if isVersion5 && view.expiryOffset != 0 {
            // The publisher's properties are the last thing appended.
            let offset = output.count - view.properties.upperBound + view.expiryOffset
            output.patch(at: offset, bigEndian: UInt16(truncatingIfNeeded: remainingExpiry >> 16))
            output.patch(at: offset + 2, bigEndian: UInt16(truncatingIfNeeded: remainingExpiry))
        }
        output.append(source.extracting(view.payload.range))
    }
}
