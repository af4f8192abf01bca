extension ClientSession {
    /// Takes away all that was published and not acknowledged, in its order, for a session that follows this
    /// one, which ends with it. What was on its way may have arrived.
    public mutating func takeMessages() -> [OutgoingMessage] {
        publishAgain()
        var messages: [OutgoingMessage] = []
        messages.reserveCapacity(queue.count)
        while let pending = queue.popFirst() { messages.append(OutgoingMessage(pending)) }
        queuedBytes = 0
        return messages
    }
}

extension OutgoingMessage {
    fileprivate init(_ pending: PendingPublish) {
        let bytes = pending.bytes.span
        self.init(
            topic: Array(bytes, pending.topic), payload: Array(bytes, pending.payload),
            qos: pending.qos, retain: pending.retain,
            properties: MessageProperties(pending.properties, in: bytes))
    }
}
