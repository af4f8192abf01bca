// Messages from the server, and the application's acknowledgements of them.
extension ClientSession {
    /// The application has taken responsibility for the message (or, with an error code, refuses
    /// it, which 3.x cannot say and takes as success). PUBACK or PUBREC goes out when those of all
    /// messages that came before it have.
    ///
    /// The delivery of an earlier connection is ignored: the server sends the message again.
    public mutating func acknowledge(
        _ delivery: DeliveryID, reasonCode: ReasonCode = .success, at now: MonotonicTime
    ) {
        inbound.acknowledge(
            number: delivery.number, packetID: delivery.packetID,
            reasonCode: version == .v5_0 ? reasonCode : .success)
        pump(at: now)
    }

    mutating func sendAcknowledgements() {
        while let due = inbound.nextDue() {
            write(due.isRelease ? .pubRec : .pubAck, due.packetID, due.reasonCode)
        }
    }

    mutating func write(_ kind: PacketType, _ packetID: UInt16, _ reasonCode: ReasonCode) {
        let nothing: [UInt8] = []
        Acknowledgement(kind: kind, packetID: packetID, reasonCode: reasonCode)
            .encode(from: nothing.span, version: version, into: &output)
    }

    mutating func handle(_ publish: Publish, in source: Span<UInt8>) throws(WireError) {
        guard !publish.properties.contains(.topicAlias) else {
            throw WireError(
                reasonCode: .topicAliasInvalid, clause: "MQTT-3.1.2-27",
                detail: "a topic alias, though none was allowed")
        }
        guard let packetID = publish.packetID else { return deliver(publish, nil, in: source) }
        switch inbound.arrived(packetID: packetID, isExactlyOnce: publish.qos == .exactlyOnce) {
        case .deliver(let number):
            deliver(publish, DeliveryID(number: number, packetID: packetID), in: source)
        case .duplicate: break
        case .receiveMaximumExceeded:
            throw WireError(
                reasonCode: .receiveMaximumExceeded, clause: "MQTT-3.3.4-9",
                detail: "more messages on their way than the receive maximum allows")
        }
    }

    private mutating func deliver(
        _ publish: Publish, _ delivery: DeliveryID?, in source: Span<UInt8>
    ) {
        events.append(
            .message(
                ReceivedMessage(
                    topic: Array(source, publish.topic), payload: Array(source, publish.payload),
                    qos: publish.qos, retain: publish.retain, duplicate: publish.duplicate,
                    properties: MessageProperties(publish.properties, in: source),
                    delivery: delivery)))
    }

    mutating func pubRelReceived(_ packet: Acknowledgement) throws(WireError) {
        switch inbound.released(packet.packetID) {
        case nil:
            write(.pubComp, packet.packetID, .success)
        case .packetIdentifierNotFound?:
            // After a reconnect the server may repeat a PUBREL that is answered already.
            write(.pubComp, packet.packetID, .packetIdentifierNotFound)
        case .some:
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-4.3.3-4",
                detail: "PUBREL before PUBREC")
        }
    }
}
