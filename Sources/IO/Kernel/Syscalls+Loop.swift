import CLinux
import Glibc

extension Syscalls {
    /// A counter that another thread can raise to wake a loop, eventfd(2).
    static func makeEventCounter() throws(IOError) -> FileDescriptor {
        let number = try retrying("eventfd") {
            Int(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)))
        }
        return FileDescriptor(takingOwnership: Int32(number))
    }

    /// Raises an eventfd; a full counter (2^64 - 2) is raised already.
    static func raise(_ counter: borrowing FileDescriptor) {
        let number = counter.rawValue
        _ = try? retryingNonBlocking("eventfd_write") { Int(eventfd_write(number, 1)) }
    }

    /// Sets an eventfd back to zero.
    static func lower(_ counter: borrowing FileDescriptor) {
        let number = counter.rawValue
        var value: eventfd_t = 0
        // SAFETY: the value lives for the call.
        _ = try? retryingNonBlocking("eventfd_read") { unsafe Int(eventfd_read(number, &value)) }
    }

    /// Blocks `signals` in this thread and makes, or changes, the descriptor that reads them, signalfd(2).
    static func watchSignals(
        _ signals: [Int32], on existing: Int32?
    ) throws(IOError) -> Int32 {
        var set = sigset_t()
        // SAFETY: the set lives for the calls, which only read or fill it.
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        let blocked = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        guard blocked == 0 else { throw IOError("pthread_sigmask", ErrorNumber(blocked)) }
        let flags = Int32(SFD_CLOEXEC | SFD_NONBLOCK)
        return Int32(
            try retrying("signalfd") { unsafe Int(signalfd(existing ?? -1, &set, flags)) })
    }

    /// The next pending signal's number, `nil` when there is none.
    static func nextSignal(_ descriptor: Int32) -> Int32? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        // SAFETY: the kernel writes whole structs only, and there is room for one.
        let got = try? retryingNonBlocking("read") { unsafe Glibc.read(descriptor, &info, size) }
        return got.flatMap { $0 } == size ? Int32(info.ssi_signo) : nil
    }

    /// Makes a write to a closed connection an error (EPIPE) instead of the end of the process.
    static func ignoreBrokenPipeSignal() {
        _ = signal(SIGPIPE, SIG_IGN)
    }
}
