import MQTT

extension BrokerShard {
    /// Keeps a retained message, or forgets the one of its topic where the payload is empty.
    /// [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-7]
    mutating func retain(_ source: Span<UInt8>, _ delivery: inout Delivery) {
        let topic = source.extracting(delivery.view.topic.range)
        guard !delivery.view.payload.isEmpty else {
            if retained.remove(topic) != nil, journal.isRecording {
                journal.record(.retainedRemoved(topic: [UInt8](copying: topic)))
            }
            return
        }
        guard hasRetainedRoom(topic, delivery.view) else {
            counters.droppedRetainedFull += 1
            return log(.retainedFull)
        }
        let message = delivery.shared(in: source)
        retained.set(topic, message, bytes: message.cost)
        journal.record(.retained(message))
    }

    /// Why a retained message cannot be kept, for a client that can be told; `nil` when it can.
    func retainFault(_ view: MessageView, _ c: UInt32) -> ReasonCode? {
        guard view.isRetained, !view.payload.isEmpty, connections[c].isVersion5 else { return nil }
        let limits = configuration.limits
        // A topic that is kept already may be replaced at the limit of messages; see hasRetainedRoom.
        let isFull =
            retained.count > limits.retainedMessages
            || retained.byteCount + view.payload.count > limits.retainedBytes
        return isFull ? .quotaExceeded : nil
    }

    private func hasRetainedRoom(_ topic: Span<UInt8>, _ view: MessageView) -> Bool {
        let limits = configuration.limits
        let old = retained.value(for: topic)
        let size =
            view.topic.count + view.properties.count + view.payload.count + Message.overhead
        let bytes = retained.byteCount + size - (old?.cost ?? 0)
        let count = retained.count + (old == nil ? 1 : 0)
        return bytes <= limits.retainedBytes && count <= limits.retainedMessages
    }

    /// Gives a new subscription the retained messages that it asks for. [MQTT-3.3.1-9]
    mutating func sendRetained(
        _ filter: TopicFilter, _ qos: QoS, to s: UInt32, _ now: MonotonicTime
    ) {
        var found: [Message] = []
        var expired: [Message] = []
        retained.forEach(matching: filter) { _, message in
            if message.isExpired(at: now) {
                expired.append(message)
            } else {
                found.append(message)
            }
            return true
        }
        for message in expired { forgetExpired(message) }
        for message in found {
            // [MQTT-3.3.1-8]: RETAIN is set on what a subscription brings.
            let entry = QueuedMessage(
                message: message, qos: min(qos, message.qos), retain: true)
            enqueue(entry, s)
        }
        pump(s, now)
    }

    private mutating func forgetExpired(_ message: Message) {
        counters.droppedExpired += 1
        let topic = message.topic
        retained.remove(topic.span)
        journal.record(.retainedRemoved(topic: topic))
    }
}
