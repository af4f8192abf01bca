import IO
import MQTT

/// What all connections of one run share: the loop, the buffer they read into, and the first failure.
final class Harness {
    let target: Target
    let loop: EventLoop
    /// Everyone's, as each takes what it read at once.
    var inbox = ByteBuffer()
    private(set) var failure: String?
    /// Connections that are as far as they must be before the load begins.
    private(set) var readyCount = 0
    /// Packets that got us nowhere near the end for so long are lost.
    static let patience = Duration.seconds(15)
    static let readSize = 256 * 1_024

    private var dirty: [Peer] = []

    init(_ target: Target, _ loop: EventLoop) {
        self.target = target
        self.loop = loop
        loop.atEndOfTick { [unowned self] in flushDirty() }
    }

    func fail(_ message: String) { failure = failure ?? message }

    func peerIsReady() { readyCount += 1 }

    /// Its output is written at the end of the tick, once.
    func markDirty(_ peer: Peer) { dirty.append(peer) }

    private func flushDirty() {
        for peer in dirty { peer.flush() }
        dirty.removeAll(keepingCapacity: true)
    }

    /// Turns the loop until `count` connections are ready; throws what failed.
    func waitUntilReady(_ count: Int) throws {
        try turn(progress: { readyCount }, until: { readyCount >= count })
    }

    /// Turns the loop until `isDone`; `progress` is a number that goes on while things come in.
    ///
    /// - Parameter before: called before each turn.
    func turn(
        progress: () -> Int, until isDone: () -> Bool, before: () throws -> Void = {}
    ) throws {
        var last = (value: progress(), time: SystemClock.monotonic())
        while failure == nil && !isDone() {
            try before()
            loop.turn(waitingAtMost: .seconds(1))
            let value = progress()
            if value != last.value {
                last = (value, loop.now)
            } else if loop.now > last.time + Self.patience {
                fail("nothing came for \(Self.patience)")
            }
        }
        if let failure { throw UsageError("\(failure)") }
    }
}

extension UsageError {
    init(_ message: String) { self.message = message }
}
