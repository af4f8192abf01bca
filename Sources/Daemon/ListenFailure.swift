import IO

extension DaemonError {
    /// Why a listener cannot be opened. A port that somebody else has is a matter of the configuration, and
    /// trying again changes nothing; an address that this machine does not have yet is not.
    public init(listening error: IOError, at address: SocketAddress, hint: String) {
        guard error.code == .addressInUse, let port = address.port else {
            self.init(.unavailable, "\(error)")
            return
        }
        let holder = PortHolder.find(port: port).map { "\($0)" } ?? "another program"
        self.init(
            .configuration, "\(error.subject) is in use by \(holder)", hint: hint)
    }
}
