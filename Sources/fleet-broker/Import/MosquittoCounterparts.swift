/// What becomes of settings of Mosquitto's that are not written down.
enum MosquittoCounterparts {
    private static let none = "no counterpart"

    /// Those that mean nothing here, or that are taken over elsewhere: nobody needs to be told.
    private static let silent: Set<String> = [
        "allow_anonymous", "password_file", "acl_file", "psk_file", "psk_hint", "protocol",
        "certfile", "keyfile", "bind_address", "max_inflight_messages", "max_queued_messages",
        "max_queued_bytes", "max_packet_size", "message_size_limit", "persistent_client_expiration",
        "max_keepalive", "set_tcp_nodelay", "http_dir_disabled",
    ]

    private static let reasons: [String: String] = [
        "pid_file": "not needed: systemd knows the process",
        "user": "not needed: the systemd unit says which user",
        "log_dest": "not needed: the log goes to the journal",
        "log_type": "set log.level instead", "log_timestamp": "always there",
        "log_timestamp_format": "always in UTC, RFC 3339", "log_facility": "not needed: journald",
        "connection_messages": "set log.level instead",
        "websockets_log_level": "set log.level instead",
        "persistence_location": "state is in /var/lib/fleet/broker; --state-directory moves it",
        "persistence_file": "state is in /var/lib/fleet/broker; --state-directory moves it",
        "autosave_interval": "not needed: what is acknowledged is on disk",
        "autosave_on_changes": "not needed: what is acknowledged is on disk",
        "sys_interval": "the broker's own interval counts",
        "ciphers": "always modern ones", "ciphers_tls1.3": "always modern ones",
        "tls_version": "TLS 1.2 and 1.3 are always offered",
        "dhparamfile": "not needed: made as they are needed",
        "capath": "put the CAs into one file, client_ca",
        "use_subject_as_username": "take user_from = \"cn\" or a SAN instead",
        "auto_id_prefix": "identifiers that are made begin with auto-",
        "mount_point": "no counterpart: the topics of this listener are not prefixed",
        "websockets_origin": "set origins of this listener",
        "enable_proxy_protocol":
            "set proxy_protocol = true of this listener, and proxy_from to its proxies",
        "http_dir": "no counterpart: no files are served",
        "plugin": "no counterpart: the rights that it gave are yours to write as roles",
        "auth_plugin": "no counterpart: the rights that it gave are yours to write as roles",
        "global_plugin": "no counterpart: the rights that it gave are yours to write as roles",
    ]

    /// What to say of a setting; `nil` for nothing.
    static func why(
        _ line: MosquittoLine, at listener: MosquittoConfiguration.Listener? = nil
    ) -> String? {
        if silent.contains(line.name) { return nil }
        if let listener, let reason = why(line, of: listener) {
            return reason.isEmpty ? nil : reason
        }
        if let reason = byValue(line) { return reason.isEmpty ? nil : reason }
        return reasons[line.name] ?? Self.none
    }

    /// Settings that only mean something with others; an empty answer says nothing.
    private static func why(
        _ line: MosquittoLine, of listener: MosquittoConfiguration.Listener
    ) -> String? {
        let isRequired = listener.isOn("require_certificate")
        switch line.name {
        case "require_certificate":
            return listener.settings["cafile"] == nil && isRequired ? "there is no cafile" : ""
        case "cafile", "crlfile":
            return isRequired
                ? ""
                : "certificates of clients are only looked at if all need one; CAs between the server's "
                    + "certificate and its root belong into the file certificate, behind it"
        case "use_identity_as_username":
            let takesKeys = listener.settings["psk_hint"] != nil
            return isRequired || takesKeys || line.value != "true"
                ? "" : "needs require_certificate true"
        case "max_connections", "max_qos", "maximum_qos": return ""
        default: return nil
        }
    }

    /// Settings of which only one value differs from what is always so here.
    private static func byValue(_ line: MosquittoLine) -> String? {
        switch (line.name, line.value) {
        case ("persistence", "true"), ("check_retain_source", "true"), ("retain_available", _),
            ("queue_qos0_messages", "false"), ("allow_zero_length_clientid", "true"),
            ("allow_duplicate_messages", "false"), ("upgrade_outgoing_qos", "false"),
            ("use_subject_as_username", "false"), ("disable_client_cert_date_checks", "false"):
            ""
        case ("persistence", _): "set durability = \"memory\" to keep nothing on disk"
        case ("check_retain_source", _): "always checked"
        case ("queue_qos0_messages", _): "no counterpart: QoS 0 is not queued for who is away"
        default: nil
        }
    }
}
