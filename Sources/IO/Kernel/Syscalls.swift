import CLinux
import Glibc

/// The funnel through which every system call goes.
///
/// EINTR is retried, "would block" is a value and no error, EBADF and EFAULT trap: they mean that this
/// program lost track of what it owns, and going on would write into a stranger's descriptor.
enum Syscalls {
    /// Repeats `body` while it is interrupted; throws its errno when it answers below zero.
    static func retrying(
        _ operation: StaticString, _ body: () -> Int
    ) throws(IOError) -> Int {
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = errno
            if code == EINTR { continue }
            precondition(code != EBADF && code != EFAULT, "a system call on what is not ours")
            throw IOError("\(operation)", ErrorNumber(code))
        }
    }

    /// The same for a non-blocking descriptor: `nil` says that the call would block.
    static func retryingNonBlocking(
        _ operation: StaticString, _ body: () -> Int
    ) throws(IOError) -> Int? {
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN || code == EWOULDBLOCK { return nil }
            precondition(code != EBADF && code != EFAULT, "a system call on what is not ours")
            throw IOError("\(operation)", ErrorNumber(code))
        }
    }

    /// The C library's sentence for an errno, strerror(3) (thread-safe since glibc 2.32).
    static func message(for code: Int32) -> String {
        // SAFETY: strerror never answers NULL, and the text is copied before another call.
        guard let text = unsafe strerror(code) else { return "unknown error" }
        return unsafe String(cString: text)
    }

    /// Closes `descriptor`, close(2). Linux frees the number even when it reports an error.
    static func close(_ descriptor: Int32) {
        if Glibc.close(descriptor) < 0 {
            precondition(errno != EBADF, "a descriptor was closed twice")
        }
    }

    /// Nanoseconds of `CLOCK_BOOTTIME`, clock_gettime(2): goes on while the machine sleeps.
    static func bootTime() -> UInt64 {
        var time = timespec()
        // SAFETY: the kernel fills the struct that lives for the call.
        let result = unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        precondition(result == 0, "Linux has had CLOCK_BOOTTIME since 2.6.39")
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Seconds and nanoseconds since 1970-01-01T00:00:00Z, clock_gettime(2).
    static func realTime() -> (seconds: Int64, nanoseconds: Int64) {
        var time = timespec()
        // SAFETY: the kernel fills the struct that lives for the call.
        let result = unsafe clock_gettime(CLOCK_REALTIME, &time)
        precondition(result == 0, "every Linux has CLOCK_REALTIME")
        return (Int64(time.tv_sec), Int64(time.tv_nsec))
    }

    /// `count` bytes from the kernel's generator, getrandom(2); waits until it is seeded.
    static func random(count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            // SAFETY: getrandom writes at most `count - filled` bytes behind `filled`.
            let got = unsafe bytes.withUnsafeMutableBytes { target in
                unsafe getrandom(
                    target.baseAddress.map { unsafe $0 + filled }, target.count - filled, 0)
            }
            precondition(got >= 0 || errno == EINTR, "getrandom fails only when interrupted")
            filled += max(0, got)
        }
        return bytes
    }

    /// Sends `bytes` on a stream socket, send(2) without SIGPIPE: the count, `nil` when it would block.
    static func send(_ descriptor: Int32, _ bytes: Span<UInt8>) throws(IOError) -> Int? {
        if bytes.isEmpty { return 0 }
        return try retryingNonBlocking("send") {
            // SAFETY: the kernel reads the span's bytes within the call only.
            unsafe bytes.withUnsafeBufferPointer {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
        }
    }
}
