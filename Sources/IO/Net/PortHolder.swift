/// Who listens at a TCP port of this machine, as far as this process may see it: proc_net(5), proc_pid_fd(5).
public struct PortHolder: Hashable, Sendable, CustomStringConvertible {
    /// The process; `nil` where its descriptors are not for this user to read.
    public var process: Int32?
    /// What the process is called.
    public var name: String?
    /// The socket's owner, by name or number.
    public var user: String

    /// `mosquitto (process 812)`
    public var description: String {
        guard let process, let name else { return "a program of the user \(user)" }
        return "\(name) (process \(process))"
    }

    /// The first that listens at `port`, at whatever address; `nil` for nobody that this process sees.
    public static func find(port: UInt16, proc: String = "/proc") -> PortHolder? {
        for table in ["tcp", "tcp6"] {
            guard let text = try? Files.read("\(proc)/self/net/\(table)", limit: maximumTable),
                let socket = listening(String(decoding: text, as: UTF8.self), port)
            else { continue }
            let user = Syscalls.userName(socket.user) ?? "\(socket.user)"
            let process = owner(ofInode: socket.inode, proc)
            let name = process.flatMap { try? Files.read("\(proc)/\($0)/comm", limit: 256) }
            return PortHolder(
                process: process,
                name: name.map { String(decoding: $0.filter { $0 >= 0x20 }, as: UTF8.self) },
                user: user)
        }
        return nil
    }

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
