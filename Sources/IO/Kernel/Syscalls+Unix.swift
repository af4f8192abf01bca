import Glibc

/// What Unix sockets need beside the calls that all have.
extension Syscalls {
    /// chmod(2).
    static func changeMode(_ path: String, _ mode: UInt32) throws(IOError) {
        do throws(IOError) {
            // SAFETY: the path is lent for the call.
            _ = try retrying("chmod") { unsafe Int(Glibc.chmod(path, mode_t(mode))) }
        } catch {
            throw error.about(path)
        }
    }

    /// Gives a path to a group, chown(2).
    static func changeGroup(_ path: String, _ group: UInt32) throws(IOError) {
        do throws(IOError) {
            // SAFETY: the path is lent for the call; the owner stays as it is.
            _ = try retrying("chown") { unsafe Int(Glibc.chown(path, uid_t.max, group)) }
        } catch {
            throw error.about(path, hint: "this process must be a member of the group")
        }
    }

    /// The number of a group, by its name in group(5) or as it is written.
    static func groupNumber(_ name: String) throws(IOError) -> UInt32 {
        if let number = UInt32(name) { return number }
        var entry = unsafe group()
        var found: UnsafeMutablePointer<group>?
        var text = [CChar](repeating: 0, count: 16 * 1024)
        let room = text.count
        // SAFETY: the entry's texts lie in `text`, of which only the number is taken, within this call.
        let code = unsafe getgrnam_r(name, &entry, &text, room, &found)
        guard code == 0, unsafe found != nil else {
            throw IOError(
                "getgrnam", code == 0 ? .noSuchFile : ErrorNumber(code), subject: name,
                hint: "there must be such a group; getent group shows them")
        }
        return unsafe entry.gr_gid
    }

    /// The name of a user, getpwuid(3); `nil` for a number without one.
    static func userName(_ number: UInt32) -> String? {
        var entry = unsafe passwd()
        var found: UnsafeMutablePointer<passwd>?
        var text = [CChar](repeating: 0, count: 16 * 1024)
        let room = text.count
        // SAFETY: the entry's texts lie in `text`, and the name is copied within this call.
        let code = unsafe getpwuid_r(number, &entry, &text, room, &found)
        guard code == 0, unsafe found != nil, let name = unsafe entry.pw_name else { return nil }
        return unsafe String(cString: name)
    }

    /// SO_PEERCRED of unix(7).
    static func peerCredentials(
        of socket: borrowing FileDescriptor
    ) throws(IOError) -> PeerCredentials {
        let number = socket.rawValue
        // struct ucred of <sys/socket.h>: three numbers of 32 bits, which Glibc's module leaves out.
        var raw: (process: Int32, user: UInt32, group: UInt32) = (0, 0, 0)
        var size = socklen_t(12)
        _ = try retrying("getsockopt") {
            // SAFETY: the kernel writes at most `size` bytes, which the three numbers have.
            unsafe Int(getsockopt(number, SOL_SOCKET, SO_PEERCRED, &raw, &size))
        }
        return PeerCredentials(process: raw.process, user: raw.user, group: raw.group)
    }
}
