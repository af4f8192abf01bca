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

    /// Whether a retained message cannot be kept, and its publisher can be told instead of having it
    /// routed. Before 5.0, and at QoS 0, nobody can be told.
    func mustRefuseRetained(_ view: MessageView, _ source: Span<UInt8>, _ c: UInt32) -> Bool {
        guard view.isRetained, !view.payload.isEmpty, connections.read(c, { $0.isVersion5 })
        else { return false }
        return !hasRetainedRoom(source.extracting(view.topic.range), view)
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
