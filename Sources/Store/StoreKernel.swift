import Glibc
import IO

/// The system calls of the store beside SQLite's own.
enum StoreKernel {
    static func meansNoRoom(_ code: Int32) -> Bool {
        code == ENOSPC || code == EDQUOT || code == EFBIG
    }

    /// Bytes of a file, `nil` when there is none.
    static func size(_ path: String) -> Int? {
        var status = stat()
        // SAFETY: stat(2) fills the structure that it is given.
        return unsafe stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// The first `count` bytes of a file, or fewer when it is shorter.
    static func prefix(of path: String, count: Int) throws(IOError) -> [UInt8] {
        let file = try open(path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: count)
        // SAFETY: pread(2) writes at most `count` bytes into the array.
        let got = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe pread(file.rawValue, buffer.baseAddress, buffer.count, 0)
        }
        guard got >= 0 else { throw failure("read", path) }
        return Array(bytes.prefix(got))
    }

    /// Makes an empty file for its owner only, where there is none.
    static func make(_ path: String) throws(IOError) {
        _ = try open(path, O_RDWR | O_CREAT, 0o600)
    }

    /// Drops what the kernel caches of a file, so that the next read shows what the disk holds.
    static func forgetCache(of path: String) {
        guard let file = try? open(path, O_RDONLY) else { return }
        _ = posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// Copies a file's bytes; the copy is for its owner only.
    static func copy(_ path: String, to target: String) throws(IOError) {
        let source = try open(path, O_RDONLY)
        let sink = try open(target, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var block = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // SAFETY: read(2) and write(2) stay within the array.
            let got = unsafe block.withUnsafeMutableBytes { buffer in
                unsafe read(source.rawValue, buffer.baseAddress, buffer.count)
            }
            guard got >= 0 else { throw failure("read", path) }
            if got == 0 { return }
            var written = 0
            while written < got {
                let count = unsafe block.withUnsafeBytes { buffer in
                    unsafe write(
                        sink.rawValue, buffer.baseAddress.map { unsafe $0 + written }, got - written
                    )
                }
                guard count > 0 else { throw failure("write", target) }
                written += count
            }
        }
    }

    /// Makes what was written to a file survive a power cut, fsync(2).
    static func synchronize(_ path: String) throws(IOError) {
        let file = try open(path, O_RDONLY)
        guard fsync(file.rawValue) == 0 else { throw failure("fsync", path) }
    }

    static func rename(_ old: String, to new: String) throws(IOError) {
        // SAFETY: rename(2) with strings that live for the call.
        guard unsafe Glibc.rename(old, new) == 0 else { throw failure("rename", old) }
    }

    /// This thread's number, for /proc.
    static var threadID: Int32? {
        let link = try? Files.linkTarget("/proc/thread-self")
        return link.flatMap { $0.split(separator: "/").last }.flatMap { Int32($0) }
    }

    private static func open(
        _ path: String, _ flags: Int32, _ mode: mode_t = 0
    ) throws(IOError) -> FileDescriptor {
        // SAFETY: open(2) with a string that lives for the call.
        let number = unsafe Glibc.open(path, flags | O_CLOEXEC, mode)
        guard number >= 0 else { throw failure("open", path) }
        return FileDescriptor(takingOwnership: number)
    }

    private static func failure(_ operation: String, _ path: String) -> IOError {
        IOError(operation, ErrorNumber(rawValue: errno), subject: path)
    }
}

/// Lets one thread wait for others, sem_overview(7).
@safe
final class Semaphore: @unchecked Sendable {
    // Proof: the pointer never changes, and sem_post and sem_wait may be called from any thread.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        // SAFETY: allocated here at a fixed address, freed in `deinit` when nobody waits any more.
        unsafe semaphore = .allocate(capacity: 1)
        unsafe semaphore.initialize(to: sem_t())
        unsafe sem_init(semaphore, 0, 0)
    }

    deinit {
        // SAFETY: the last reference is gone, so nobody uses it.
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func signal() {
        // SAFETY: lives as long as self.
        unsafe sem_post(semaphore)
    }

    func wait() {
        // SAFETY: lives as long as self. EINTR only repeats the wait.
        while unsafe sem_wait(semaphore) != 0 {}
    }
}
