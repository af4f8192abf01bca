import Glibc

/// The control group of a listening socket, which tells systemd's unit: sock_diag(7), cgroups(7).
///
/// A service in a sandbox does not see other processes' descriptors; this it sees.
enum SocketGroup {
    /// The unit whose process made the socket, such as `mosquitto.service`; `nil` where it cannot be told.
    static func unit(ofInode inode: UInt64, groups: String = "/sys/fs/cgroup") -> String? {
        for family in [AF_INET, AF_INET6] {
            guard let id = group(ofInode: inode, UInt8(family)) else { continue }
            var left = maximumFolders
            return name(of: id, in: groups, &left)
        }
        return nil
    }

    /// Folders that are looked at; a machine with more units than that keeps its secret.
    private static let maximumFolders = 4_096

    private static func name(of id: UInt64, in folder: String, _ left: inout Int) -> String? {
        for entry in (try? Files.names(in: folder)) ?? [] {
            let path = folder + "/" + entry
            guard left > 0, let status = try? Files.status(path), status.isFolder else { continue }
            left -= 1
            if status.inode == id { return entry }
            if let found = name(of: id, in: path, &left) { return found }
        }
        return nil
    }

    // MARK: The kernel's tables, linux/inet_diag.h

    private static let requestBytes = 16 + 56
    private static let messageBytes = 72
    private static let socketDiagnosis: Int32 = 4  // NETLINK_SOCK_DIAG
    private static let byFamily: UInt16 = 20  // SOCK_DIAG_BY_FAMILY
    private static let groupAttribute: UInt16 = 21  // INET_DIAG_CGROUP_ID
    /// The kernel answers in pieces of at most 32 KiB.
    private static let maximumPiece = 64 * 1_024

    private static func group(ofInode inode: UInt64, _ family: UInt8) -> UInt64? {
        guard let socket = try? Syscalls.makeNetlinkSocket(socketDiagnosis),
            (try? Syscalls.writeAll(socket, request(family).span)) != nil
        else { return nil }
        while true {
            var piece: [UInt8] = []
            guard let count = try? Syscalls.read(socket, into: &piece, atMost: maximumPiece),
                count > 0
            else { return nil }
            var rest = piece[...]
            while let message = next(&rest) {
                // What ends the answer, or refuses it, has another type.
                guard message.type == byFamily else { return nil }
                let content = message.content
                guard content.count >= messageBytes, number(content, 68, 4) == inode else {
                    continue
                }
                return attribute(groupAttribute, content.dropFirst(messageBytes))
            }
        }
    }

    /// Asks for all sockets that listen (TCP_LISTEN is 10).
    private static func request(_ family: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        func add(_ value: UInt32, _ count: Int) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
        }
        add(UInt32(requestBytes), 4)
        add(UInt32(byFamily), 2)
        add(0x301, 2)  // NLM_F_REQUEST | NLM_F_DUMP
        add(1, 4)
        add(0, 4)
        bytes += [family, UInt8(IPPROTO_TCP), 0, 0]
        add(1 << 10, 4)
        return bytes + [UInt8](repeating: 0, count: requestBytes - bytes.count)
    }

    /// The next message of netlink(7); `nil` at the end of the piece.
    private static func next(
        _ rest: inout ArraySlice<UInt8>
    ) -> (type: UInt16, content: ArraySlice<UInt8>)? {
        guard rest.count >= 16, let length = number(rest, 0, 4), let type = number(rest, 4, 2),
            (16...UInt64(rest.count)).contains(length)
        else { return nil }
        let content = rest.dropFirst(16).prefix(Int(length) - 16)
        rest = rest.dropFirst((Int(length) + 3) & ~3)
        return (UInt16(type), content)
    }

    private static func attribute(_ wanted: UInt16, _ bytes: ArraySlice<UInt8>) -> UInt64? {
        var rest = bytes
        while let length = number(rest, 0, 2), let type = number(rest, 2, 2),
            (4...UInt64(rest.count)).contains(length)
        {
            if type == wanted { return number(rest, 4, 8) }
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
        return nil
    }

    /// In the byte order of the machine, which is little-endian wherever this runs.
    private static func number(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ count: Int) -> UInt64? {
        guard bytes.count >= offset + count else { return nil }
        let start = bytes.startIndex + offset
        return bytes[start..<start + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
