import BrokerCore
import Daemon
import FleetModel

/// `/metrics`: the broker's figures for Prometheus.
enum MetricsPage {
    static func make(_ figures: BrokerFigures) -> PrometheusText {
        var page = PrometheusText()
        addBroker(figures, to: &page)
        addClients(figures, to: &page)
        addHeld(figures, to: &page)
        addConnections(figures, to: &page)
        addTraffic(figures.counters, to: &page)
        addMessages(figures.counters, to: &page)
        addStore(figures.store, to: &page)
        if let process = figures.process { addProcess(process, to: &page) }
        return page
    }

    private static func addBroker(_ figures: BrokerFigures, to page: inout PrometheusText) {
        page.gauge("fleet_broker_info", "Which version this is; always 1.") {
            $0.sample(1, ["version": FleetVersion.current])
        }
        page.gauge(
            "fleet_broker_uptime_seconds", "Seconds since the broker began to serve.",
            figures.uptime.seconds)
        page.gauge("fleet_broker_loops", "Event loops that serve clients.", figures.shardCount)
    }

    private static func addClients(_ figures: BrokerFigures, to page: inout PrometheusText) {
        let connected = figures.shards.connected
        page.gauge("fleet_broker_clients", "Clients connected, by version of the protocol.") {
            $0.sample(connected.v3_1, ["version": "3.1"])
            $0.sample(connected.v3_1_1, ["version": "3.1.1"])
            $0.sample(connected.v5_0, ["version": "5.0"])
        }
        page.gauge(
            "fleet_broker_clients_maximum", "The most clients that were connected at once.",
            figures.clientsMaximum)
        page.gauge("fleet_broker_sessions", "Sessions, by whether their client is connected.") {
            $0.sample(connected.total, ["state": "connected"])
            $0.sample(max(0, figures.shards.sessions - connected.total), ["state": "away"])
        }
        page.gauge(
            "fleet_broker_subscriptions", "Subscriptions of all sessions.",
            figures.shards.subscriptions)
    }

    private static func addHeld(_ figures: BrokerFigures, to page: inout PrometheusText) {
        let shards = figures.shards
        page.gauge(
            "fleet_broker_retained_messages", "Retained messages, those below $SYS left out.",
            shards.retainedMessages)
        page.gauge(
            "fleet_broker_retained_bytes",
            "Bytes of the retained messages, as limits.retained_size counts them.",
            shards.retainedBytes)
        page.gauge(
            "fleet_broker_memory_used_bytes",
            "What clients make the broker hold, as limits.memory counts it.", shards.memoryBytes)
        page.gauge("fleet_broker_memory_limit_bytes", "limits.memory.", shards.memoryLimit)
        page.gauge(
            "fleet_broker_queue_messages", "Messages that wait in sessions' queues.",
            shards.survey.queuedMessages)
        page.gauge(
            "fleet_broker_queue_bytes",
            "Bytes that wait in sessions' queues, as limits.queue_size counts them.",
            shards.survey.queuedBytes)
        page.gauge(
            "fleet_broker_queue_sessions", "Sessions in whose queue something waits.",
            shards.survey.waitingSessions)
        page.gauge(
            "fleet_broker_queue_oldest_seconds", "For how long the oldest message has waited.",
            figures.oldestSeconds)
        page.gauge(
            "fleet_broker_in_flight_messages",
            "QoS 1 and 2 messages that were sent and are not acknowledged.",
            shards.survey.inFlight)
    }

    private static func addConnections(_ figures: BrokerFigures, to page: inout PrometheusText) {
        let counters = figures.counters
        page.gauge(
            "fleet_broker_connections", "Connections open, CONNECT seen or not.",
            figures.shards.connections)
        page.counter(
            "fleet_broker_connections_opened_total", "Connections accepted.",
            counters.connectionsOpened)
        page.counter(
            "fleet_broker_connections_closed_total", "Connections that have ended.",
            counters.connectionsClosed)
        page.counter(
            "fleet_broker_connections_refused_total",
            "Connections above the limit, and CONNECT packets answered with an error.",
            counters.connectionsRefused)
        page.counter(
            "fleet_broker_connects_received_total", "CONNECT packets taken.",
            counters.connectsReceived)
        addListeners(figures.listeners, to: &page)
        page.counter(
            "fleet_broker_sessions_expired_total", "Sessions whose time was over.",
            counters.sessionsExpired)
        page.counter(
            "fleet_broker_sessions_taken_over_total",
            "Connections that another one with the same client identifier ended.",
            counters.sessionsTakenOver)
    }

    private static func addListeners(
        _ listeners: [ListenerFigures], to page: inout PrometheusText
    ) {
        func add(
            _ family: inout PrometheusText.Family, _ value: (ListenerFigures) -> some BinaryInteger
        ) {
            for listener in listeners {
                family.sample(
                    value(listener),
                    [
                        "listener": listener.name, "address": listener.address,
                        "protocol": listener.scheme,
                    ])
            }
        }
        page.gauge("fleet_broker_listener_connections", "Connections open, by listener.") {
            add(&$0, \.connections)
        }
        page.counter(
            "fleet_broker_listener_accepted_total", "Connections accepted, by listener."
        ) { add(&$0, \.accepted) }
        page.counter(
            "fleet_broker_listener_refused_total",
            "Connections closed at once because a limit was reached, by listener."
        ) { add(&$0, \.refused) }
    }

    private static func addTraffic(_ counters: BrokerCounters, to page: inout PrometheusText) {
        page.counter(
            "fleet_broker_received_bytes_total", "Bytes received from clients.",
            counters.bytesReceived)
        page.counter(
            "fleet_broker_sent_bytes_total", "Bytes sent to clients.", counters.bytesSent)
        page.counter(
            "fleet_broker_received_packets_total", "Packets of all types received.",
            counters.packetsReceived)
        page.counter(
            "fleet_broker_sent_packets_total",
            "Packets put into clients' outputs, by whether they are PUBLISH."
        ) {
            $0.sample(counters.publishesSent, ["type": "publish"])
            $0.sample(counters.controlPacketsSent, ["type": "other"])
        }
    }

    private static func addMessages(_ counters: BrokerCounters, to page: inout PrometheusText) {
        page.counter(
            "fleet_broker_received_publishes_total",
            "PUBLISH packets taken from clients, duplicates included.",
            counters.publishesReceived)
        page.counter(
            "fleet_broker_received_publish_payload_bytes_total", "Payload bytes of them.",
            counters.publishBytesReceived)
        page.counter(
            "fleet_broker_sent_publish_payload_bytes_total",
            "Payload bytes of the PUBLISH packets put into clients' outputs.",
            counters.publishBytesSent)
        page.counter(
            "fleet_broker_dropped_messages_total",
            "Messages that somebody who asked for them did not get, by why."
        ) { family in
            for (reason, count) in counters.dropped { family.sample(count, ["reason": reason]) }
        }
        page.counter(
            "fleet_broker_refused_publishes_total",
            "PUBLISH packets that were not taken, or not yet, by why."
        ) { family in
            for (reason, count) in counters.refused { family.sample(count, ["reason": reason]) }
        }
        page.counter(
            "fleet_broker_duplicate_publishes_total",
            "QoS 2 PUBLISH packets that repeated one already taken.", counters.duplicatesReceived)
        page.counter(
            "fleet_broker_wills_published_total", "Wills published.", counters.willsPublished)
        page.counter(
            "fleet_broker_wills_refused_total",
            "Wills whose client may not publish them any more.", counters.willsRefused)
    }

    private static func addStore(_ store: StoreFigures, to page: inout PrometheusText) {
        page.gauge("fleet_broker_store_state", "The state of the store; 1 where it is that.") {
            for state in StoreFigures.State.allCases {
                $0.sample(state == store.state ? 1 : 0, ["state": state.rawValue])
            }
        }
        guard store.state != .none else { return }
        page.gauge(
            "fleet_broker_store_quarantined", "Damaged stores that were put aside.",
            store.quarantined)
        page.counter(
            "fleet_broker_store_written_bytes_total", "Bytes written to flash since the start.",
            store.writtenBytes)
        page.counter("fleet_broker_store_commits_total", "Commits.", store.commits)
        if let last = store.lastCommit {
            page.gauge(
                "fleet_broker_store_commit_seconds", "How long the last commit took.",
                last.seconds)
        }
        if let bytes = store.fileBytes {
            page.gauge("fleet_broker_store_file_bytes", "Size of the store's file.", bytes)
        }
    }

    /// By the names that Prometheus's own client libraries use.
    private static func addProcess(_ process: ProcessFigures, to page: inout PrometheusText) {
        page.counter("process_cpu_seconds_total", "User and system time.") {
            $0.sample(process.cpuSeconds)
        }
        page.gauge(
            "process_resident_memory_bytes", "Memory that is resident.", process.residentBytes)
        page.gauge(
            "process_anonymous_memory_bytes", "The part of it that no file backs.",
            process.anonymousBytes)
        page.gauge(
            "process_virtual_memory_bytes", "Virtual memory.", process.virtualBytes)
        page.gauge("process_threads", "Threads.", process.threads)
        if let open = process.openDescriptors {
            page.gauge("process_open_fds", "File descriptors open.", open)
        }
        if let maximum = process.maximumDescriptors {
            page.gauge("process_max_fds", "File descriptors at most.", maximum)
        }
        if let start = process.startSeconds {
            page.gauge("process_start_time_seconds", "Unix time of the start.", start)
        }
    }
}
