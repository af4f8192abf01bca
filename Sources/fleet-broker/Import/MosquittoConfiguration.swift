import Daemon

/// A `mosquitto.conf`, sorted: what holds for the whole broker, and what for each listener.
struct MosquittoConfiguration {
    struct Listener {
        var origin: MosquittoOrigin
        var port: String
        /// An address, a name or the path of a Unix socket; empty for all addresses.
        var address: String
        var settings: [String: MosquittoLine] = [:]

        func value(_ name: String) -> String? { settings[name]?.value }
        func isOn(_ name: String) -> Bool { settings[name]?.value == "true" }
    }

    /// The last line of each name that is not a listener's.
    private(set) var global: [String: MosquittoLine] = [:]
    private(set) var listeners: [Listener] = []
    private(set) var isPerListener = false

    /// Who may connect, and what they may do: of a listener with `per_listener_settings true`.
    private static let perListener: Set<String> = [
        "allow_anonymous", "password_file", "acl_file", "psk_file",
    ]
    private static let ofListener: Set<String> = [
        "protocol", "max_connections", "cafile", "capath", "certfile", "keyfile", "crlfile",
        "require_certificate", "use_identity_as_username", "use_subject_as_username",
        "use_username_as_clientid", "tls_version", "ciphers", "ciphers_tls1.3", "dhparamfile",
        "tls_engine", "tls_engine_kpass_sha1", "tls_keyform", "psk_hint", "mount_point", "max_qos",
        "maximum_qos",
        "max_topic_alias", "max_topic_alias_broker", "http_dir", "bind_interface", "socket_domain",
        "websockets_origin", "websockets_log_level", "websockets_headers_size",
        "disable_client_cert_date_checks", "accept_protocol_versions", "enable_proxy_protocol",
    ]

    /// Said of a bridge, whose `connection` line is noted.
    private static let ofBridge: Set<String> = [
        "address", "addresses", "topic", "cleansession", "local_cleansession", "clientid",
        "remote_clientid", "local_clientid", "username", "remote_username", "local_username",
        "password", "remote_password", "local_password", "keepalive_interval", "notifications",
        "notification_topic", "notifications_local_only", "restart_timeout", "round_robin",
        "start_type", "threshold", "try_private", "idle_timeout",
    ]

    init(_ lines: [MosquittoLine], notes: inout ImportNotes) {
        isPerListener = lines.contains { $0.name == "per_listener_settings" && $0.value == "true" }
        for line in lines {
            switch line.name {
            case "per_listener_settings": break
            case "connection":
                notes.add(
                    line.origin, "connection",
                    "a bridge: set up fleet-bridge for \"\(line.value)\"")
            case "listener":
                let words = line.words
                listeners.append(
                    Listener(
                        origin: line.origin, port: words.first ?? "",
                        address: words.dropFirst().joined(separator: " ")))
            case "port":
                listeners.insert(
                    Listener(origin: line.origin, port: line.value, address: ""), at: 0)
            case "bind_address":
                if listeners.isEmpty || global["bind_address"] != nil {
                    listeners.insert(
                        Listener(origin: line.origin, port: "1883", address: line.value), at: 0)
                } else {
                    listeners[0].address = line.value
                }
                global[line.name] = line
            case let name where Self.ofBridge.contains(name) || name.hasPrefix("bridge_"): break
            case let name where Self.ofListener.contains(name) || Self.perListener.contains(name):
                sort(line, notes: &notes)
            default: global[line.name] = line
            }
        }
    }

    private mutating func sort(_ line: MosquittoLine, notes: inout ImportNotes) {
        let isListeners = isPerListener || Self.ofListener.contains(line.name)
        guard isListeners else {
            global[line.name] = line
            return
        }
        guard !listeners.isEmpty else {
            // Before the first listener it is the default one's, which Mosquitto opens for it.
            if line.name != "allow_anonymous" || isPerListener {
                listeners.append(Listener(origin: line.origin, port: "1883", address: ""))
                listeners[0].settings[line.name] = line
            }
            return
        }
        listeners[listeners.count - 1].settings[line.name] = line
    }

    /// A setting of who may connect, as it holds for a listener.
    func access(_ name: String, _ listener: Listener) -> MosquittoLine? {
        isPerListener ? listener.settings[name] : global[name]
    }
}
