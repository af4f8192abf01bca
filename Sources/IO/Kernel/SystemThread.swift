import CLinux
import Glibc

/// A thread that nobody joins, pthread_create(3).
public enum SystemThread {
    /// Address space for its stack; only what it touches becomes memory. Enough for getaddrinfo's plug-ins.
    static let stackBytes = 1 << 20

    /// Runs `body` on a new thread, with all signals blocked: they belong to the loop's thread.
    public static func start(
        name: String, _ body: @escaping @Sendable () -> Void
    ) throws(IOError) {
        // SAFETY: attributes and masks live for the calls that use them.
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)

        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }

        // SAFETY: the box is retained here and released once, by the thread or, without one, below.
        let box = unsafe Unmanaged.passRetained(Body(name: name, run: body))
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                // SAFETY: pthread_create hands over the pointer that it was given, never NULL here.
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                unsafe pthread_setname_np(pthread_self(), String(body.name.prefix(15)))
                body.run()
                return nil
            }, box.toOpaque())
        if result != 0 {
            unsafe box.release()
            throw IOError("pthread_create", ErrorNumber(result))
        }
    }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
