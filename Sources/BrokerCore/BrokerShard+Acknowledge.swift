import MQTT

/// The client's answers to what it was sent, and its release of what it sent at QoS 2.
extension BrokerShard {
    /// PUBACK ends a QoS 1 message, whatever its reason code. [MQTT-4.3.2-4]
    mutating func takePubAck(_ packet: Acknowledgement, _ c: UInt32, _ now: MonotonicTime) {
        let s = connections[c].session
        guard sessions[s].window.stage(of: packet.packetID) == .awaitingPubAck else {
            return takeStray(packet, s, c, now)
        }
        complete(packet.packetID, s, now)
    }

    /// PUBREC: the message has arrived and is not sent again; PUBREL frees its identifier.
    /// [MQTT-4.3.3-4], [MQTT-4.3.3-6]
    mutating func takePubRec(_ packet: Acknowledgement, _ c: UInt32, _ now: MonotonicTime) {
        let s = connections[c].session
        let mark = journal.mark
        switch sessions[s].window.stage(of: packet.packetID) {
        case .awaitingPubRec:
            // An error ends the message: it is not sent again. [MQTT-4.3.3-3]
            if packet.reasonCode.isError { return complete(packet.packetID, s, now) }
            let entry = sessions[s].window.payload(of: packet.packetID)
            sessions[s].window.release(packet.packetID)
            if let entry { recordReceived(s, entry, packet.packetID) }
            sendAcknowledgement(c, .pubRel, packet.packetID, since: mark)
        case .awaitingPubComp:
            // PUBREC came twice: PUBREL is said again.
            sendAcknowledgement(c, .pubRel, packet.packetID, since: earlierMark(s))
        case nil where connections[c].isVersion5:
            if packet.reasonCode.isError { return }
            sendAcknowledgement(
                c, .pubRel, packet.packetID, .packetIdentifierNotFound, since: mark)
        case nil:
            // 3.x has no code for it; PUBREL lets such a client finish.
            sendAcknowledgement(c, .pubRel, packet.packetID, since: mark)
        default:
            fail(
                c, .protocolError, "MQTT-4.3.3-4", "PUBREC for a message that was not of QoS 2", now
            )
        }
    }

    /// PUBCOMP ends a QoS 2 message. [MQTT-4.3.3-7]
    mutating func takePubComp(_ packet: Acknowledgement, _ c: UInt32, _ now: MonotonicTime) {
        let s = connections[c].session
        guard sessions[s].window.stage(of: packet.packetID) == .awaitingPubComp else {
            return takeStray(packet, s, c, now)
        }
        complete(packet.packetID, s, now)
    }

    /// PUBREL: the identifier may be used again. [MQTT-4.3.3-11], [MQTT-4.3.3-12]
    mutating func takePubRel(_ packet: Acknowledgement, _ c: UInt32) {
        let s = connections[c].session
        guard sessions[s].incoming.remove(packet.packetID) else {
            // Answered even so: without PUBCOMP the client would ask again for ever.
            return sendAcknowledgement(
                c, .pubComp, packet.packetID, .packetIdentifierNotFound, since: earlierMark(s))
        }
        connections[c].openIncoming = max(0, connections[c].openIncoming - 1)
        let mark = journal.mark
        recordReleased(s, packet.packetID)
        sendAcknowledgement(c, .pubComp, packet.packetID, since: mark)
    }

    private mutating func complete(_ packetID: UInt16, _ s: UInt32, _ now: MonotonicTime) {
        if let entry = sessions[s].window.complete(packetID) {
            countCompleted(s, entry)
            recordCompleted(s, entry, packetID)
        }
        // Acknowledgements come by the dozen: what they make room for is sent once all are taken.
        if !sessions[s].queue.isEmpty || sessions[s].window.isResending { mustPump = true }
    }

    /// PUBACK or PUBCOMP for an identifier that does not wait for it.
    ///
    /// After a reconnect an acknowledgement of the earlier connection may still come: an identifier that
    /// is free is let pass. One that waits for something else is a fault.
    private mutating func takeStray(
        _ packet: Acknowledgement, _ s: UInt32, _ c: UInt32, _ now: MonotonicTime
    ) {
        guard sessions[s].window.stage(of: packet.packetID) != nil else { return }
        fail(
            c, .protocolError, "MQTT-4.3.2-2",
            "an acknowledgement that does not fit the message's state", now)
    }
}
