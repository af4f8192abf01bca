import Glibc
import IO

/// The few system calls that only daemons make; the one file of this module with unsafe lines.
enum Kernel {
    /// The value of an environment variable, `nil` when it is not set or empty.
    static func environment(_ name: String) -> String? {
        ProcessEnvironment.value(name).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Whether this process belongs to root.
    static var isRoot: Bool { geteuid() == 0 }

    /// Whether `descriptor` is the one that `stream` (`$JOURNAL_STREAM`, systemd.exec(5)) names by
    /// device and inode.
    static func isJournal(_ descriptor: Int32, stream: String?) -> Bool {
        guard let stream else { return false }
        var status = stat()
        // SAFETY: fstat(2) fills the structure that it is given.
        guard unsafe fstat(descriptor, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }

    /// One write(2); what does not fit is lost.
    static func writeOnce(_ descriptor: Int32, _ text: String) {
        let bytes = Array(text.utf8)
        // SAFETY: write(2) reads `count` bytes of the array, which lives for the call.
        _ = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Opens (or makes, 0600) `path` and takes its lock, flock(2), for as long as the descriptor lives.
    ///
    /// `nil` when another process has it.
    static func lock(_ path: String) throws(IOError) -> FileDescriptor? {
        // SAFETY: open(2) with a string that lives for the call.
        let number = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard number >= 0 else {
            throw IOError("open", ErrorNumber(rawValue: errno), subject: path)
        }
        let descriptor = FileDescriptor(takingOwnership: number)
        if flock(number, LOCK_EX | LOCK_NB) == 0 { return descriptor }
        if errno == EWOULDBLOCK { return nil }
        throw IOError("flock", ErrorNumber(rawValue: errno), subject: path)
    }

    /// Replaces the content of a small file by `text`.
    static func rewrite(_ descriptor: borrowing FileDescriptor, _ text: String) {
        if ftruncate(descriptor.rawValue, 0) == 0 { writeOnce(descriptor.rawValue, text) }
    }

    /// The machine's name, gethostname(2); a sandbox may hide the file that tells it.
    static var hostName: String? {
        var text = [CChar](repeating: 0, count: 256)
        // SAFETY: gethostname(2) writes at most the count that it is told, which leaves a zero behind.
        guard unsafe gethostname(&text, 255) == 0 else { return nil }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    static var processID: Int32 { getpid() }

    /// Microseconds of CLOCK_MONOTONIC, the clock that systemd compares.
    static func monotonicMicroseconds() -> Int64 {
        var time = timespec()
        // SAFETY: clock_gettime(2) fills the structure that it is given.
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }

    /// Sends one datagram to a Unix socket, unix(7); a name that begins with `@` is an abstract one.
    ///
    /// Answers whether it was sent; nobody listening is the usual reason why not.
    static func sendDatagram(_ text: String, to name: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard !path.isEmpty, path.count < capacity else { return false }
        let isAbstract = path[0] == UInt8(ascii: "@")
        if isAbstract { path[0] = 0 }
        // SAFETY: `path` is shorter than the field, which was zero before.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { field in
            unsafe field.copyBytes(from: path)
        }
        // The length of an abstract name counts; a path ends at its zero.
        let offset = MemoryLayout<sockaddr_un>.size - capacity
        let length = socklen_t(offset + path.count + (isAbstract ? 0 : 1))

        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return false }
        let descriptor = FileDescriptor(takingOwnership: number)
        let bytes = Array(text.utf8)
        // SAFETY: both pointers live for the call; `length` is within the structure.
        let sent = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bytes.withUnsafeBytes { buffer in
                    unsafe sendto(
                        descriptor.rawValue, buffer.baseAddress, buffer.count,
                        Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), address, length)
                }
            }
        }
        return sent == bytes.count
    }

    /// Ends the process; nothing runs after it.
    static func end(_ code: ExitCode) -> Never {
        exit(code.rawValue)
    }
}
