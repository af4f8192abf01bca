import MQTT

extension AccessRules {
    /// Whether clients may publish less than MQTT has.
    var limitsPublishing: Bool { maximumQoS != .exactlyOnce || !isRetainAvailable }
}

/// What CONNACK says that a client may not do, and what becomes of those who do it.
extension BrokerShard {
    /// [MQTT-3.2.2-9]; what is not said is offered.
    func add(termsOf rules: AccessRules, to writer: inout PropertyWriter) {
        if rules.maximumQoS != .exactlyOnce {
            writer.add(.maximumQoS, uint8: rules.maximumQoS.rawValue)
        }
        if !rules.isRetainAvailable { writer.add(.retainAvailable, uint8: 0) }
    }

    /// What a client that asked for it makes its response topics of, as far as it fits. [MQTT-3.1.2-28]
    func addResponseInformation(
        _ c: UInt32, _ principal: Principal, to writer: inout PropertyWriter
    ) {
        guard let text = configuration.responseInformation?.text(for: principal) else { return }
        var longer = writer
        longer.add(.responseInformation, bytes: text.span)
        if Self.connAckSize(longer) <= connections[c].maximumPacketSize { writer = longer }
    }

    /// Whether a client was thrown out for a PUBLISH that its CONNACK ruled out. Clients before 5.0 were
    /// not told, and cannot be told now: the log says it. [MQTT-3.2.2-11], [MQTT-3.2.2-14]
    mutating func failsTerms(_ publish: Publish, _ c: UInt32, _ now: MonotonicTime) -> Bool {
        let rules = connections[c].rules.value
        if publish.qos > rules.maximumQoS {
            fail(c, .qosNotSupported, "MQTT-3.2.2-11", "a QoS above the server's maximum", now)
            return true
        }
        if publish.retain && !rules.isRetainAvailable {
            fail(c, .retainNotSupported, "MQTT-3.2.2-14", "the server retains no message", now)
            return true
        }
        return false
    }
}
