// CONNECT and CONNACK.
extension ClientSession {
    /// Whether this CONNECT asks for a fresh session.
    private var cleanStart: Bool {
        guard version == .v5_0 else { return configuration.sessionExpirySeconds == 0 }
        return hasConnected ? configuration.sessionExpirySeconds == 0 : configuration.cleanStart
    }

    mutating func writeConnect() {
        var arena: [UInt8] = []
        func add(_ bytes: [UInt8]) -> ByteRange {
            let start = arena.count
            arena.append(contentsOf: bytes)
            return ByteRange(start..<arena.count)
        }
        let clientID = add(clientID)
        let username = configuration.username.map { add(Array($0.utf8)) }
        let password = configuration.password.map { add($0) }
        let properties = version == .v5_0 ? connectProperties().append(to: &arena) : .none
        var will: Will?
        if let wanted = configuration.will {
            let topic = add(wanted.message.topic)
            let payload = add(wanted.message.payload)
            let willProperties =
                version == .v5_0 ? Self.properties(of: wanted).append(to: &arena) : .none
            will = Will(
                qos: wanted.message.qos, retain: wanted.message.retain, topic: topic,
                payload: payload, properties: willProperties)
        }
        Connect(
            version: version, cleanStart: cleanStart, keepAlive: configuration.keepAliveSeconds,
            clientID: clientID, properties: properties, will: will, username: username,
            password: password
        ).encode(from: arena.span, into: &output)
    }

    private func connectProperties() -> PropertyWriter {
        var writer = PropertyWriter()
        if configuration.sessionExpirySeconds > 0 {
            writer.add(.sessionExpiryInterval, uint32: configuration.sessionExpirySeconds)
        }
        writer.add(.receiveMaximum, uint16: max(1, configuration.receiveMaximum))
        writer.add(.maximumPacketSize, uint32: UInt32(clamping: configuration.maximumPacketSize))
        for property in configuration.userProperties {
            writer.addUserProperty(name: property.name.span, value: property.value.span)
        }
        return writer
    }

    private static func properties(of will: ClientWill) -> PropertyWriter {
        var writer = PropertyWriter()
        if will.delaySeconds > 0 { writer.add(.willDelayInterval, uint32: will.delaySeconds) }
        will.message.properties.write(to: &writer)
        return writer
    }

    /// A server that does not know 5.0 refuses it in its own form: a CONNACK of 3.x has two bytes
    /// behind the length, one of 5.0 has at least three.
    mutating func recognizeOldServer(_ bytes: Span<UInt8>) {
        guard version == .v5_0, !isConnected, bytes.count >= 2, bytes[0] == 0x20, bytes[1] == 2
        else { return }
        decoder.version = .v3_1_1
    }

    mutating func handle(
        _ connAck: ConnAck, in source: Span<UInt8>, at now: MonotonicTime
    ) throws(WireError) {
        let properties = connAck.properties
        let code =
            decoder.version == .v5_0
            ? connAck.reasonCode : ConnAck.reasonCode(forReturnCode: connAck.reasonCode.rawValue)
        let reasonString = properties.text(.reasonString, in: source)
        guard code == .success else {
            return refused(
                code, reasonString: reasonString,
                serverReference: properties.text(.serverReference, in: source))
        }
        guard decoder.version == version else {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.2.0-1",
                detail: "a CONNACK of 3.x takes a connection of 5.0")
        }
        guard !(connAck.sessionPresent && cleanStart) else {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.2.2-2",
                detail: "a session is present though a clean start was asked for")
        }
        // 3.1 does not say whether it has the session; sending again is what its text asks for.
        let sessionPresent =
            connAck.sessionPresent || (version == .v3_1 && hasConnected && !cleanStart)
        let capabilities = ServerCapabilities(properties, in: source)
        guard capabilities.maximumQoS >= configuration.requiredQoS else {
            return refused(.qosNotSupported, reasonString: nil, serverReference: nil)
        }
        server = capabilities
        if let assigned = properties.range(.assignedClientIdentifier, in: source) {
            clientID = [UInt8](copying: source.extracting(assigned.range))
        }
        let seconds = properties.uint16(.serverKeepAlive, in: source)
        let keepAliveSeconds = seconds ?? configuration.keepAliveSeconds  // [MQTT-3.1.2-21]
        keepAlive = KeepAlive(
            intervalSeconds: keepAliveSeconds,
            responseTimeout: configuration.pingResponseTimeout, now: now)
        hasConnected = true
        state = .connected
        events.append(
            .connected(
                ConnectResult(
                    sessionPresent: connAck.sessionPresent, version: version, clientID: clientID,
                    server: server,
                    sessionExpirySeconds: properties.uint32(.sessionExpiryInterval, in: source)
                        ?? configuration.sessionExpirySeconds,
                    keepAliveSeconds: keepAliveSeconds, reasonString: reasonString)))
        resume(sessionPresent: sessionPresent)
    }

    private mutating func refused(
        _ code: ReasonCode, reasonString: String?, serverReference: String?
    ) {
        var fallback: ProtocolVersion?
        if code == .unsupportedProtocolVersion && version == .v5_0
            && configuration.version == .automatic
        {
            version = .v3_1_1
            fallback = version
        }
        end(
            .refused(
                code, reasonString: reasonString, serverReference: serverReference,
                fallback: fallback))
    }

    /// The session goes on, or begins: what was on its way is dealt with before anything new.
    private mutating func resume(sessionPresent: Bool) {
        if sessionPresent {
            window.beginResend()
            // 3.1 does not tell; to subscribe twice does no harm.
            if version == .v3_1 { _ = subscriptions.sessionLost() }
            return
        }
        publishAgain()
        inbound.sessionLost()
        for removal in subscriptions.sessionLost() {
            let codes = removal.filters.map { _ in ReasonCode.noSubscriptionExisted }
            events.append(.unsubscribed(token: removal.token, reasonCodes: codes))
        }
    }
}

extension ServerCapabilities {
    /// What CONNACK's properties say; what it leaves out has the standard's default.
    init(_ properties: Properties, in source: Span<UInt8>) {
        if let value = properties.uint16(.receiveMaximum, in: source) { receiveMaximum = value }
        if let value = properties.uint8(.maximumQoS, in: source).flatMap(QoS.init(rawValue:)) {
            maximumQoS = value
        }
        maximumPacketSize = properties.uint32(.maximumPacketSize, in: source).map(Int.init)
        if let value = properties.uint16(.topicAliasMaximum, in: source) {
            topicAliasMaximum = value
        }
        func isAvailable(_ identifier: PropertyIdentifier) -> Bool {
            properties.uint8(identifier, in: source) != 0
        }
        retainAvailable = isAvailable(.retainAvailable)
        wildcardSubscriptionAvailable = isAvailable(.wildcardSubscriptionAvailable)
        subscriptionIdentifiersAvailable = isAvailable(.subscriptionIdentifierAvailable)
        sharedSubscriptionAvailable = isAvailable(.sharedSubscriptionAvailable)
    }
}
