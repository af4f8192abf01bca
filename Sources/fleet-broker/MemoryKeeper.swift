import IO

/// Gives back what was needed for a moment and is needed no more: by the start, and by each crowd of clients
/// that connects.
///
/// Code that only these ran leaves the resident memory, and what was allocated and freed meanwhile. What is
/// used again comes back from the page cache; that costs less than a millisecond.
final class MemoryKeeper {
    /// When the start is over.
    private static let startTime = Duration.milliseconds(200)
    /// Connections that make a crowd, and the pause in which no more than some come.
    private static let crowd = 1_000
    private static let pause = Duration.milliseconds(100)
    private static let some = 20

    private let loop: EventLoop
    private var connections = 0
    private var isWatching = false

    init(loop: EventLoop) {
        self.loop = loop
        loop.schedule(after: Self.startTime) { ProcessMemory.release() }
    }

    /// A client has come.
    func noteConnection() {
        connections += 1
        guard connections >= Self.crowd, !isWatching else { return }
        isWatching = true
        watch(connections)
    }

    private func watch(_ known: Int) {
        loop.schedule(after: Self.pause) { [weak self] in
            guard let self else { return }
            guard self.connections - known <= Self.some else { return self.watch(self.connections) }
            self.connections = 0
            self.isWatching = false
            ProcessMemory.release()
        }
    }
}
