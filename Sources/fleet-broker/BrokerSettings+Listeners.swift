import BrokerCore
import Config
import IO
import TLS

/// `[[listener]]`, and the limits of those who knock.
extension BrokerSettings {
    /// What a listener asks of those who connect through it.
    ///
    /// The rights of a Unix socket's path say who may connect, so that it asks no more unless told to.
    func rules(for listener: ListenerSettings) -> AccessRules {
        let isOpen =
            listener.allowsAnonymous ?? allowsAnonymous
            ?? (listener.isUnix && listener.proxies == nil
                || passwordFile == nil && listener.isLocal)
        var rules = AccessRules(
            allowsAnonymous: isOpen, checksPasswords: passwordFile != nil,
            takesIdentity: listener.tls?.identity != nil, listener: listener.label)
        rules.maximumQoS = listener.maximumQoS ?? maximumQoS
        rules.isRetainAvailable = listener.isRetainAvailable ?? isRetainAvailable
        rules.packetBytes = listener.packetBytes
        if passwordFile != nil { rules.authenticationMethods = [Array(SCRAMExchange.method.utf8)] }
        return rules
    }

    func readListener(_ reader: ConfigurationReader) -> ListenerSettings? {
        let address = reader.requiredParsed("address") { text in
            guard let address = SocketAddress(text) else {
                throw ConfigurationProblem(
                    "\"\(text)\" is no address and port",
                    hint: "write \"127.0.0.1:1883\", \"[::1]:1883\", \"0.0.0.0:1883\" or "
                        + "\"unix:/run/fleet/broker/mqtt.sock\"")
            }
            return address
        }
        var listener = ListenerSettings(address: address ?? .loopbackIPv4(port: 0))
        listener.name = reader.string("name", default: "")
        listener.webSocket = Self.readWebSocket(reader)
        listener.tls = Self.readTLS(reader)
        if reader.has("allow_anonymous") {
            listener.allowsAnonymous = reader.boolean("allow_anonymous", default: false)
        }
        listener.maximumQoS = Self.readMaximumQoS(reader)
        if reader.has("retain_available") {
            listener.isRetainAvailable = reader.boolean("retain_available", default: true)
        }
        listener.maximumConnections = reader.integer("connections", in: 1...1_000_000)
        listener.packetBytes = reader.size("packet_size", in: Self.packetSizes)
        listener.proxies = Self.readProxies(reader)
        listener.unixAccess = Self.readUnixAccess(reader, listener)
        guard address != nil else { return nil }
        checkWay(in: reader, listener)
        return listener
    }

    /// A listener that nobody gets through is an error.
    private func checkWay(in reader: ConfigurationReader, _ listener: ListenerSettings) {
        let rules = rules(for: listener)
        guard !rules.allowsAnonymous && !rules.checksPasswords && !rules.takesIdentity
        else { return }
        let who =
            listener.proxies == nil
            ? "\(listener.address), which is not this machine alone"
            : "\(listener.address): behind a proxy is not this machine alone"
        reader.problem(
            "address", "nobody could log in at \(who)",
            hint: "set authentication.password_file, or allow_anonymous = true here or under "
                + "[authentication] to let everybody in")
    }

    private static func readWebSocket(_ reader: ConfigurationReader) -> WebSocketRules? {
        enum Kind: String, CaseIterable { case mqtt, websocket }
        let kind = reader.choice("protocol", default: Kind.mqtt)
        guard kind == .websocket else {
            for key in ["path", "origins"] where reader.has(key) {
                reader.problem(key, "is for protocol = \"websocket\" only")
            }
            return nil
        }
        let path = reader.parsed("path") { text in
            guard text.first == "/", text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != 63 })
            else {
                throw ConfigurationProblem("is no path of a URL, such as \"/mqtt\"")
            }
            return text
        }
        let origins = reader.parsedList("origins", default: []) { text in
            guard text.contains("://"), text.last != "/" else {
                throw ConfigurationProblem(
                    "\"\(text)\" is no origin",
                    hint: "as browsers send it: \"https://panel.example\", without a path")
            }
            return text.lowercased()
        }
        return WebSocketRules(path: path, origins: origins)
    }

    private static func readProxies(_ reader: ConfigurationReader) -> [AddressRange]? {
        let isBehindProxy = reader.boolean("proxy_protocol", default: false)
        guard isBehindProxy else {
            if reader.has("proxy_from") {
                reader.problem("proxy_from", "is for proxy_protocol = true only")
            }
            return nil
        }
        return reader.parsedList("proxy_from", default: ["127.0.0.0/8", "::1"]) { text in
            guard let range = AddressRange(text) else {
                throw ConfigurationProblem(
                    "\"\(text)\" is no range of addresses",
                    hint: "write \"10.1.2.3\", \"10.0.0.0/8\" or \"fd00::/8\"")
            }
            return range
        }
    }

    private static func readUnixAccess(
        _ reader: ConfigurationReader, _ listener: ListenerSettings
    ) -> UnixSocketAccess? {
        guard listener.isUnix else {
            for key in ["mode", "group"] where reader.has(key) {
                reader.problem(key, "is for the address of a Unix socket only")
            }
            return nil
        }
        let mode = reader.parsed("mode", default: "0660") { text in
            guard let mode = UInt32(text, radix: 8), mode <= 0o777 else {
                throw ConfigurationProblem(
                    "\"\(text)\" is no mode", hint: "in octal digits, such as \"0660\"")
            }
            return mode
        }
        return UnixSocketAccess(mode: mode, group: reader.string("group"))
    }

    /// Connections of this machine itself are limited only where somebody says so.
    mutating func readGate(_ limits: ConfigurationReader) {
        let connections = limits.has("connections_per_address")
        let rate = limits.has("connect_rate")
        gate.connections = limits.integer(
            "connections_per_address", default: 1_000, in: 1...1_000_000)
        gate.rate = limits.integer("connect_rate", default: 100, in: 1...1_000_000)
        if connections { loopbackGate.connections = gate.connections }
        if rate { loopbackGate.rate = gate.rate }
    }
}
