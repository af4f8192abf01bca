import MQTT

extension ShardMail {
    /// Where a message stands in the mail's bytes, or that it is the next of its values.
    ///
    /// 16 bytes: all of it goes from the cache of one core to that of another.
    struct Entry {
        struct Flags: OptionSet {
            var rawValue: UInt8

            /// The lower two bits are the QoS.
            static let isRetained = Flags(rawValue: 1 << 2)
            /// The whole packet stands there, and not just topic, properties and payload.
            static let hasPacket = Flags(rawValue: 1 << 3)
            static let isVersion5 = Flags(rawValue: 1 << 4)
            /// The next of the mail's expiries is its.
            static let expires = Flags(rawValue: 1 << 5)
            static let isValue = Flags(rawValue: 1 << 6)
        }

        private var start: UInt32 = 0
        private var propertiesCount: UInt32 = 0
        private var topicCount: UInt16 = 0
        private var payloadCount: UInt16 = 0
        /// From the start to the topic: what a packet begins with.
        private var topicOffset: UInt8 = 0
        /// From the topic's end to the properties.
        private var propertiesOffset: UInt8 = 0
        var flags: Flags

        static var value: Entry { Entry(flags: .isValue) }

        private init(flags: Flags) { self.flags = flags }

        /// A message of which topic, properties and payload follow each other from `start` on.
        @inline(__always)
        init(_ start: Int, _ view: MessageView) {
            self.start = UInt32(start)
            topicCount = UInt16(view.topic.count)
            propertiesCount = UInt32(view.properties.count)
            payloadCount = UInt16(view.payload.count)
            flags = Flags(rawValue: view.qos.rawValue)
            if view.isRetained { flags.insert(.isRetained) }
        }

        /// It stands there as `packet` does in its source.
        @inline(__always)
        mutating func standsInPacket(_ packet: ByteRange, _ view: MessageView, isVersion5: Bool) {
            topicOffset = UInt8(view.topic.lowerBound - packet.lowerBound)
            // A packet ends with properties and payload.
            let rest = view.properties.count + view.payload.count
            propertiesOffset = UInt8(packet.upperBound - rest - view.topic.upperBound)
            flags.insert(.hasPacket)
            if isVersion5 { flags.insert(.isVersion5) }
        }

        var isValue: Bool { flags.contains(.isValue) }

        @inline(__always)
        func delivery(_ expiry: Expiry?, now: MonotonicTime) -> Delivery {
            let start = Int(self.start)
            let topic = start + Int(topicOffset)
            let topicEnd = topic + Int(topicCount)
            let properties = topicEnd + Int(propertiesOffset)
            let payload = properties + Int(propertiesCount)
            let end = payload + Int(payloadCount)
            var view = MessageView(
                topic: ByteRange(lowerBound: topic, upperBound: topicEnd),
                properties: ByteRange(lowerBound: properties, upperBound: payload),
                payload: ByteRange(lowerBound: payload, upperBound: end),
                qos: QoS(rawValue: flags.rawValue & 3) ?? .atMostOnce,
                isRetained: flags.contains(.isRetained))
            if let expiry {
                view.expiryOffset = properties + Int(expiry.offset)
                view.expiryInterval = expiry.interval
            }
            return Delivery(
                view: view,
                packet: flags.contains(.hasPacket)
                    ? ByteRange(lowerBound: start, upperBound: end) : nil,
                packetIsVersion5: flags.contains(.isVersion5),
                remainingExpiry: expiry?.remaining ?? 0, now: now)
        }
    }

    /// The expiry interval of a message.
    struct Expiry {
        /// Where it stands in the properties.
        var offset: UInt32
        var interval: UInt32
        /// What is left of it.
        var remaining: UInt32
    }
}
