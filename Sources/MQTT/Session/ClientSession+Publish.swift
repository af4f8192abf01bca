// Messages to the server: the queue, the window, and the server's acknowledgements.
extension ClientSession {
    /// Takes a message; it waits while there is no connection, or the server's receive maximum, the
    /// window or `output` are full, and goes in the order of the calls.
    ///
    /// Returns `nil` when taken; exactly one `published` with `token` follows then. Otherwise why not.
    public mutating func publish(
        _ message: OutgoingMessage, token: UInt64, at now: MonotonicTime
    ) -> PublishRefusal? {
        guard isTopicName(message.topic) else { return .invalidTopic }
        let pending: PendingPublish
        do throws(PublishRefusal) {
            try checkRoom(for: message.topic.count + message.payload.count)
            pending = try PendingPublish(message, token: token)
            try checkRoom(for: pending.bytes.count)
            // What no server takes, and what this one does not.
            try checkSize(of: pending, maximum: WireLimits.largestPacketSize)
            if isConnected, let maximum = server.maximumPacketSize {
                try checkSize(of: pending, maximum: maximum)
            }
        } catch {
            return error
        }
        queue.append(pending)
        queuedBytes += pending.bytes.count
        pump(at: now)
        return nil
    }

    private func checkRoom(for bytes: Int) throws(PublishRefusal) {
        guard queuedMessages < configuration.maximumQueuedMessages,
            queuedBytes + bytes <= configuration.maximumQueuedBytes
        else { throw .queueFull }
    }

    private func checkSize(of pending: PendingPublish, maximum: Int) throws(PublishRefusal) {
        let size = pending.encodedSize(version)
        guard size <= maximum else { throw .tooLarge(bytes: size, maximum: maximum) }
    }

    // MARK: Sending

    /// How many messages of QoS 1 and 2 may be on their way.
    private var quota: Int {
        Int(min(server.receiveMaximum, max(1, configuration.maximumInFlight)))
    }

    mutating func resend() {
        while output.count < configuration.maximumOutputBytes,
            let next = window.nextResend(quota: quota)
        {
            switch next {
            case .release(let id): write(.pubRel, id, .success)
            case .publish(let id):
                guard case .publish(let pending) = window.payload(of: id) else {
                    preconditionFailure("only a PUBLISH is sent again")
                }
                // The new connection's server may take less than the last did.
                if let refusal = refusal(of: pending) {
                    finish(id, .refused(refusal))
                } else {
                    pending.encode(packetID: id, duplicate: true, version: version, into: &output)
                }
            }
        }
    }

    mutating func sendQueued() {
        while output.count < configuration.maximumOutputBytes, var pending = queue.first {
            if let refusal = refusal(of: pending) {
                _ = queue.popFirst()
                report(pending, .refused(refusal))
                continue
            }
            adapt(&pending)
            guard pending.qos > .atMostOnce else {
                _ = queue.popFirst()
                pending.encode(packetID: nil, duplicate: false, version: version, into: &output)
                report(pending, .acknowledged(.success))
                continue
            }
            let stage: InFlightWindow<InFlight>.Stage =
                pending.qos == .exactlyOnce ? .awaitingPubRec : .awaitingPubAck
            guard window.outstanding < quota,
                let id = window.append(.publish(pending), stage: stage)
            else { return }
            _ = queue.popFirst()
            publishesInFlight += 1
            pending.encode(packetID: id, duplicate: false, version: version, into: &output)
        }
    }

    /// Why the server cannot be sent this message at all [MQTT-3.2.2-15].
    private func refusal(of pending: PendingPublish) -> PublishRefusal? {
        guard let maximum = server.maximumPacketSize else { return nil }
        let size = pending.encodedSize(version)
        return size > maximum ? .tooLarge(bytes: size, maximum: maximum) : nil
    }

    /// Fits the message to what the server can [MQTT-3.2.2-11] [MQTT-3.2.2-14].
    private func adapt(_ pending: inout PendingPublish) {
        pending.qos = min(pending.qos, server.maximumQoS)
        if pending.retain && !server.retainAvailable {
            pending.retain = false
            pending.retainDropped = true
        }
    }

    // MARK: Ends

    private mutating func report(_ pending: PendingPublish, _ result: PublishOutcome.Result) {
        queuedBytes -= pending.bytes.count
        events.append(.published(pending.outcome(result)))
    }

    private mutating func finish(_ id: UInt16, _ result: PublishOutcome.Result) {
        guard case .publish(let pending) = window.complete(id) else { return }
        publishesInFlight -= 1
        report(pending, result)
    }

    /// The server lost the session: what was on its way goes again, as new messages, before all
    /// that waits. Their old identifiers mean nothing any more.
    mutating func publishAgain() {
        for entry in window.removeAll().reversed() {
            guard case .publish(var pending) = entry.payload else { continue }
            pending.publishedAgain = true
            queue.prepend(pending)
        }
        publishesInFlight = 0
    }

    // MARK: The server's acknowledgements

    mutating func pubAckReceived(_ packet: Acknowledgement) throws(WireError) {
        switch window.stage(of: packet.packetID) {
        case .awaitingPubAck: finish(packet.packetID, .acknowledged(packet.reasonCode))
        case nil: break  // Harmless, and no text of the standard makes it an error.
        default: throw wrongAcknowledgement
        }
    }

    mutating func pubRecReceived(_ packet: Acknowledgement) throws(WireError) {
        switch window.stage(of: packet.packetID) {
        case .awaitingPubRec where packet.reasonCode.isError:
            finish(packet.packetID, .acknowledged(packet.reasonCode))
        case .awaitingPubRec:
            window.release(packet.packetID)
            write(.pubRel, packet.packetID, .success)
        case .awaitingPubComp:
            write(.pubRel, packet.packetID, .success)
        case nil:
            write(.pubRel, packet.packetID, .packetIdentifierNotFound)
        default: throw wrongAcknowledgement
        }
    }

    mutating func pubCompReceived(_ packet: Acknowledgement) throws(WireError) {
        switch window.stage(of: packet.packetID) {
        case .awaitingPubComp:
            // Packet identifier not found answers a PUBREL that is sent again after the server had
            // finished: the message arrived (4.3.3).
            finish(packet.packetID, .acknowledged(.success))
        case nil: break
        default: throw wrongAcknowledgement
        }
    }

    private var wrongAcknowledgement: WireError {
        WireError(
            reasonCode: .protocolError, clause: "4.3",
            detail: "an acknowledgement that does not belong to the packet it names")
    }
}
