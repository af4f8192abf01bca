import MQTT
import Synchronization

extension EventLoop {
    /// What other threads hold of a loop: a queue and the descriptor that wakes it, eventfd(2).
    ///
    /// May outlive the loop; what is sent then is dropped.
    public final class Remote: Sendable {
        private struct Queue {
            var work: [@Sendable (EventLoop) -> Void] = []
            var isClosed = false
        }

        private let queue = Mutex(Queue())
        private let counter: FileDescriptor

        var counterDescriptor: Int32 { counter.rawValue }

        init() throws(IOError) {
            counter = try Syscalls.makeEventCounter()
        }

        /// Runs `work` on the loop's thread, in order of arrival. Callable from any thread.
        ///
        /// What is not `Sendable` is reached through the loop that `work` is given, or better by a `Port`.
        public func enqueue(_ work: @escaping @Sendable (EventLoop) -> Void) {
            let wake = queue.withLock { queue in
                if queue.isClosed { return false }
                queue.work.append(work)
                return queue.work.count == 1
            }
            if wake { Syscalls.raise(counter) }
        }

        func takeAll() -> [@Sendable (EventLoop) -> Void] {
            // Lowered first: what arrives in between raises it again.
            Syscalls.lower(counter)
            return queue.withLock { queue in
                let work = queue.work
                queue.work = []
                return work
            }
        }

        func close() {
            queue.withLock { queue in
                queue.isClosed = true
                queue.work = []
            }
        }
    }

    /// Sends values of one type from any thread to the handler that `makePort` was given.
    public struct Port<Message: Sendable>: Sendable {
        let id: UInt64
        let remote: Remote

        /// Hands `message` to the handler on the loop's thread, in order; dropped once the port is closed.
        public func send(_ message: Message) {
            let id = id
            remote.enqueue { loop in loop.deliver(message, to: id) }
        }
    }
}

/// A signal's number, signal(7).
public struct SignalNumber: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Ctrl-C in a terminal.
    public static let interrupt = SignalNumber(rawValue: 2)
    /// What systemd and kill(1) send.
    public static let terminate = SignalNumber(rawValue: 15)
    /// Reload.
    public static let hangUp = SignalNumber(rawValue: 1)
    public static let user1 = SignalNumber(rawValue: 10)
    public static let user2 = SignalNumber(rawValue: 12)
}
