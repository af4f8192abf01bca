/// Who may connect to a Unix socket: the rights of its path, unix(7).
public struct UnixSocketAccess: Hashable, Sendable {
    /// As chmod(2) takes it; to connect takes the right to write.
    public var mode: UInt32
    /// The group of the path, by name or number; `nil`: the process's own.
    public var group: String?

    public init(mode: UInt32 = 0o660, group: String? = nil) {
        self.mode = mode
        self.group = group
    }

    func apply(to path: String) throws(IOError) {
        if let group { try Self.give(path, to: try Syscalls.groupNumber(group)) }
        try Syscalls.changeMode(path, mode)
    }

    /// A sandbox may deny the call (`SystemCallFilter=`), and a service whose group it is needs none.
    private static func give(_ path: String, to group: UInt32) throws(IOError) {
        guard try Syscalls.status(path).groupID != group else { return }
        try Syscalls.changeGroup(path, group)
    }
}

/// Who is at the other end of a Unix socket: process, user and group when it connected, SO_PEERCRED.
public struct PeerCredentials: Hashable, Sendable, CustomStringConvertible {
    public var process: Int32
    public var user: UInt32
    public var group: UInt32

    public var description: String { "uid=\(user) pid=\(process)" }
}

extension FileDescriptor {
    /// Who connected; for a Unix socket only.
    public func peerCredentials() throws(IOError) -> PeerCredentials {
        try Syscalls.peerCredentials(of: self)
    }
}
