/// Who listens at a TCP port of this machine, as far as this process may see it.
public enum PortHolder: Hashable, Sendable, CustomStringConvertible {
    /// A process whose descriptors this one may read, proc_pid_fd(5).
    case process(Int32, name: String)
    /// A unit of systemd.
    case unit(String)
    case user(String)
    case nobodyKnown

    /// `mosquitto (process 812)`
    public var description: String {
        switch self {
        case .process(let number, let name): "\(name) (process \(number))"
        case .unit(let name): name
        case .user(let name): "a program of the user \(name)"
        case .nobodyKnown: "another program"
        }
    }

    /// The first that listens at `port`, at whatever address; `nil` where none of the kernel's tables has it.
    public static func find(port: UInt16, proc: String = "/proc") -> PortHolder? {
        for table in ["tcp", "tcp6"] {
            guard let text = try? Files.read("\(proc)/self/net/\(table)", limit: maximumTable),
                let socket = listening(String(decoding: text, as: UTF8.self), port)
            else { continue }
            return holder(socket.inode, socket.user, proc)
        }
        return nil
    }

    private static func holder(_ inode: UInt64, _ user: UInt32, _ proc: String) -> PortHolder {
        if let process = owner(ofInode: inode, proc),
            let name = try? Files.read("\(proc)/\(process)/comm", limit: 256)
        {
            let text = String(decoding: name.filter { $0 >= 0x20 }, as: UTF8.self)
            return .process(process, name: text)
        }
        if let unit = SocketGroup.unit(ofInode: inode) { return .unit(unit) }
        // In a sandbox with users of its own, others are nobody, user_namespaces(7).
        return user == overflowUser ? .nobodyKnown : .user(Syscalls.userName(user) ?? "\(user)")
    }

    private static let overflowUser: UInt32 = 65_534
    /// A table of all sockets of a busy machine.
    private static let maximumTable = 16 << 20
    private static let listenState = "0A"

    /// The line of `/proc/net/tcp` whose socket listens at `port`.
    private static func listening(
        _ table: String, _ port: UInt16
    ) -> (inode: UInt64, user: UInt32)? {
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == listenState,
                let digits = fields[1].split(separator: ":").last,
                UInt16(digits, radix: 16) == port,
                let user = UInt32(fields[7]), let inode = UInt64(fields[9])
            else { continue }
            return (inode, user)
        }
        return nil
    }

    /// The process that has the socket among its descriptors.
    private static func owner(ofInode inode: UInt64, _ proc: String) -> Int32? {
        let target = "socket:[\(inode)]"
        let processes = ((try? Files.names(in: proc)) ?? []).compactMap { Int32($0) }.sorted()
        return processes.first { process in
            let folder = "\(proc)/\(process)/fd"
            return ((try? Files.names(in: folder)) ?? []).contains { number in
                (try? Files.linkTarget("\(folder)/\(number)")) == target
            }
        }
    }
}
