/// Tells systemd how the service does, sd_notify(3); does nothing without `$NOTIFY_SOCKET`.
public struct ServiceNotifier: Sendable {
    private let socket: String?
    /// How often systemd wants to hear `watchdog()`, at the latest; `nil` when it does not.
    public let watchdogInterval: Duration?

    public init() {
        self.init(environment: Kernel.environment)
    }

    init(environment: (String) -> String?) {
        socket = environment("NOTIFY_SOCKET")
        let isForUs = environment("WATCHDOG_PID").map { $0 == "\(Kernel.processID)" } ?? true
        if isForUs, socket != nil, let text = environment("WATCHDOG_USEC"),
            let microseconds = Int64(text), microseconds > 0
        {
            watchdogInterval = .microseconds(microseconds)
        } else {
            watchdogInterval = nil
        }
    }

    /// The service serves.
    public func ready(status: String) {
        send("READY=1\nSTATUS=\(line(status))")
    }

    /// The service rereads its configuration; `ready` must follow.
    public func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(Kernel.monotonicMicroseconds())")
    }

    public func stopping() {
        send("STOPPING=1")
    }

    /// The loop is alive.
    public func watchdog() {
        send("WATCHDOG=1")
    }

    /// Asks for so much more time, from now on, while the service starts, rereads or stops: what takes
    /// longer than `TimeoutStartSec=` without this is killed.
    public func extendTimeout(by time: Duration) {
        let (seconds, attoseconds) = time.components
        send("EXTEND_TIMEOUT_USEC=\(seconds * 1_000_000 + attoseconds / 1_000_000_000_000)")
    }

    /// One line that `systemctl status` shows.
    public func status(_ text: String) {
        send("STATUS=\(line(text))")
    }

    private func send(_ text: String) {
        // A service manager that does not listen is no reason to stop; systemd notices by itself.
        if let socket { _ = Kernel.sendDatagram(text, to: socket) }
    }

    private func line(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }
}
