import BrokerCore
import Daemon
import IO
import MQTT

/// The broker in numbers, at one moment.
struct BrokerFigures: Sendable {
    var shards: ShardFigures
    var shardCount: Int
    var listeners: [ListenerFigures]
    var store: StoreFigures
    var process: ProcessFigures?
    var uptime: Duration
    var now: MonotonicTime
    /// The most clients that were connected at once, as far as anybody looked.
    var clientsMaximum: Int
    /// The most anonymous memory, the same way.
    var heapMaximum: Int

    var counters: BrokerCounters { shards.counters }

    /// Since when the oldest message waits.
    var oldestSeconds: Int {
        guard let oldest = shards.survey.oldestQueued else { return 0 }
        return Int((now - oldest).components.seconds)
    }

    /// Messages of all kinds that the broker holds.
    var storedMessages: Int {
        shards.retainedMessages + shards.survey.queuedMessages + shards.survey.inFlight
    }
}

/// One listener in numbers.
struct ListenerFigures: Sendable {
    /// Empty where it has only its address.
    var name: String
    var address: String
    /// `mqtt`, `mqtts`, `ws` or `wss`.
    var scheme: String
    /// Connections open.
    var connections: Int
    var accepted: UInt64
    /// Closed at once: one of its limits was reached, or no descriptor was left.
    var refused: UInt64
}

/// The store in numbers.
struct StoreFigures: Sendable {
    enum State: String, Sendable, CaseIterable {
        /// Nothing outlives the process.
        case none
        case ok
        /// A damaged store was put aside; a new one serves.
        case quarantined
        /// There is no room: what must be kept is refused.
        case full
        /// It cannot be written: nothing is acknowledged.
        case failed
    }

    var state = State.none
    /// Damaged stores that lie beside it.
    var quarantined = 0
    /// Bytes written to flash since the start.
    var writtenBytes: UInt64 = 0
    var commits: UInt64 = 0
    /// How long the last commit took.
    var lastCommit: Duration?
    var fileBytes: Int?

    /// Why the broker does not serve as it should; `nil` when it does.
    var fault: String? {
        switch state {
        case .failed: "the store cannot be written"
        case .full: "the store has no room"
        case .none, .ok, .quarantined: nil
        }
    }
}

extension BrokerCounters {
    /// Messages that somebody who asked for them did not get, by why.
    var dropped: [(reason: String, count: UInt64)] {
        [
            ("slow_reader", droppedSlowReader), ("queue_full", droppedQueueFull),
            ("memory", droppedMemory), ("too_large", droppedTooLarge), ("expired", droppedExpired),
            ("session_ended", droppedSessionEnded), ("retained_full", droppedRetainedFull),
            ("not_allowed", droppedNotAllowed),
        ]
    }

    /// PUBLISH packets that were not taken, or not yet, by why.
    var refused: [(reason: String, count: UInt64)] {
        [
            ("not_allowed", publishesRefused), ("store", publishesRefusedByStore),
            ("memory", publishesRefusedByMemory),
        ]
    }

    /// Packets of all types put into clients' outputs.
    var packetsSent: UInt64 { publishesSent &+ controlPacketsSent }
}
