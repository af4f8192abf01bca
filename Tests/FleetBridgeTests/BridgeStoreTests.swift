import Foundation
import IO
import MQTT
import Store
import Synchronization
import Testing

@testable import BridgeCore
@testable import fleet_bridge

@Suite("The bridge's store")
struct BridgeStoreTests {
    /// A folder that goes with its test.
    private final class Folder {
        let path = NSTemporaryDirectory() + "fleet-bridge-store-" + UUID().uuidString

        init() throws { try Files.makeFolder(path) }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private let folder: Folder
    private var path: String { folder.path + "/bridge.db" }

    init() throws { folder = try Folder() }

    private func start(
        _ limits: BridgeStore.Limits = BridgeStore.Limits()
    ) throws -> BridgeStore {
        try BridgeStore.start(path: path, limits: limits) { _ in }
    }

    private func begin(
        _ store: BridgeStore, instance: UInt64 = 7, epoch: UInt64 = 0xE,
        filters: PerRoute<[String]> = PerRoute(up: [], down: [])
    ) throws -> BridgeStore.Opened {
        try store.begin(
            instance: instance, newEpoch: epoch, unixSeconds: 1_000, filters: filters)
    }

    /// A batch as the core makes it, of `count` messages.
    private func batch(_ first: UInt64, _ count: Int, size: Int = 10) throws -> MessageBatch {
        var body: [UInt8] = [1] + [UInt8](repeating: 0, count: 8)
        for _ in 0..<count {
            body += [1] + [UInt8](repeating: 0, count: 16) + [0, 1, 0, 0, 0, 0, 0, 0, 0]
            body += [UInt8(size), UInt8(ascii: "t")] + [UInt8](repeating: 9, count: size)
        }
        return try MessageBatch(firstSequence: first, count: count, body: body)
    }

    private func commit(
        _ store: BridgeStore, up: [MessageBatch] = [], down: [MessageBatch] = [],
        next: (UInt64, UInt64), through: (UInt64, UInt64) = (0, 0),
        refused: [RefusedMessage] = []
    ) throws -> CommitResult {
        let transaction = StoreTransaction(
            batches: PerRoute(up: up, down: down), nextSequence: PerRoute(up: next.0, down: next.1),
            acknowledgedThrough: PerRoute(up: through.0, down: through.1), refused: refused)
        return try wait(store) { store.commit(transaction, completion: $0) }
    }

    private func load(
        _ store: BridgeStore, _ route: Route, after: UInt64, maximumBytes: Int = 1_000_000
    ) throws -> [MessageBatch] {
        let request = LoadRequest(route: route, after: after, maximumBytes: maximumBytes)
        return try wait(store) { store.load(request, completion: $0) }
    }

    private func wait<Value: Sendable>(
        _ store: BridgeStore,
        _ submit: (@escaping @Sendable (Result<Value, StoreError>) -> Void) -> Bool
    ) throws -> Value {
        let box = Box<Value>()
        #expect(submit { box.set($0) })
        // The thread answers in order, so what was submitted before is answered when this is.
        try store.thread.perform { _ in }
        return try #require(box.value).get()
    }

    @Test("keeps what was committed, across an end without close")
    func survives() throws {
        let batches = [try batch(1, 3), try batch(4, 2)]
        var store = try start()
        #expect(try begin(store).state == StoredState(epoch: 0xE))
        _ = try commit(store, up: batches, down: [batch(1, 1)], next: (6, 2))
        #expect(try load(store, .up, after: 0) == batches)
        store.thread.stop()

        store = try start()
        let opened = try begin(store, epoch: 0xF)
        #expect(opened.state.epoch == 0xE, "the epoch is made with the store")
        #expect(opened.state.nextSequence == PerRoute(up: 6, down: 2))
        #expect(opened.state.bytes.up == batches.reduce(0) { $0 + $1.body.count })
        #expect(try load(store, .up, after: 0) == batches)
        #expect(try load(store, .up, after: 3).map(\.firstSequence) == [4])
        #expect(try load(store, .up, after: 2).map(\.firstSequence) == [1, 4])
        #expect(try load(store, .down, after: 0).map(\.count) == [1])
        #expect(try load(store, .up, after: 0, maximumBytes: 1).count == 1)
        store.thread.stop()
    }

    @Test("deletes whole batches that are done, of one route only, and says how much that was")
    func deletes() throws {
        let store = try start()
        _ = try begin(store)
        let batches = [try batch(1, 3), try batch(4, 2)]
        _ = try commit(store, up: batches, down: [batch(1, 2)], next: (6, 3))
        #expect(try commit(store, next: (6, 3), through: (2, 0)).freedBytes.up == 0)
        let freed = try commit(store, next: (6, 3), through: (4, 0)).freedBytes
        #expect(freed == PerRoute(up: batches[0].body.count, down: 0))
        #expect(try load(store, .up, after: 4).map(\.firstSequence) == [4])
        #expect(try load(store, .down, after: 0).count == 1)
        let state = try begin(store).state
        #expect(state.acknowledgedThrough.up == 4)
        #expect(state.bytes.up == batches[1].body.count)
        _ = try commit(store, next: (6, 3), through: (5, 2))
        #expect(try begin(store).state.bytes == PerRoute(up: 0, down: 0))
        store.thread.stop()
    }

    @Test("bears the same transaction twice")
    func twice() throws {
        let store = try start()
        _ = try begin(store)
        let refused = RefusedMessage(
            route: .up, reason: .packetTooLarge, refusedAtUnixMilliseconds: 5,
            message: try batch(1, 1))
        for _ in 1...2 {
            _ = try commit(
                store, up: [batch(1, 3)], next: (4, 1), through: (1, 0), refused: [refused])
        }
        let state = try begin(store).state
        #expect(state.bytes.up == (try batch(1, 3).body.count))
        #expect(state.refused == RefusedTotals(kept: 1, evicted: 0))
        #expect(try load(store, .up, after: 1).count == 1)
        store.thread.stop()
    }

    @Test("keeps so many refused messages and so many bytes of them, and counts what gave way")
    func refusedLimits() throws {
        func refused(_ sequence: UInt64, _ size: Int) throws -> RefusedMessage {
            RefusedMessage(
                route: .up, reason: .acknowledgedWith(.notAuthorized),
                refusedAtUnixMilliseconds: 5, message: try batch(sequence, 1, size: size))
        }
        let store = try start(BridgeStore.Limits(refusedMessages: 3, refusedBytes: 350))
        _ = try begin(store)
        for sequence: UInt64 in 1...5 {
            _ = try commit(store, next: (9, 1), refused: [refused(sequence, 10)])
        }
        #expect(try begin(store).state.refused == RefusedTotals(kept: 3, evicted: 2))
        let result = try commit(store, next: (9, 1), refused: [refused(6, 250)])
        #expect(result.refused == RefusedTotals(kept: 2, evicted: 4))
        store.thread.stop()
    }

    @Test("messages leave room on the disk; answers, which delete, do not ask for it")
    func leavesRoom() throws {
        let before = try start()
        _ = try begin(before)
        _ = try commit(before, up: [try batch(1, 3)], next: (4, 1))
        before.thread.stop()
        let store = try start(BridgeStore.Limits(minimumFreeBytes: 1 << 50))
        let error = #expect(throws: StoreError.self) {
            try commit(store, up: [try batch(4, 1)], next: (5, 1), through: (3, 0))
        }
        #expect(error?.kind == .full)
        let result = try commit(store, next: (4, 1), through: (3, 0))
        #expect(result.freedBytes.up > 0)
        #expect(try load(store, .up, after: 0).isEmpty)
        store.thread.stop()
    }

    @Test("another machine's store gets a new epoch and keeps its messages")
    func clone() throws {
        let store = try start()
        let first = try begin(store, instance: 1, epoch: 0xA)
        _ = try commit(store, up: [batch(1, 3)], next: (4, 1))
        let second = try begin(store, instance: 2, epoch: 0xB)
        #expect(second.state.epoch == 0xB && second.state.nextSequence.up == 4)
        #expect(second.session > first.session)
        store.thread.stop()
    }

    @Test("remembers filters until the broker has ended them")
    func filters() throws {
        let store = try start()
        func stale(_ up: [String], _ down: [String] = []) throws -> PerRoute<[String]> {
            try begin(store, filters: PerRoute(up: up, down: down)).staleFilters
        }
        let none = PerRoute<[String]>(up: [], down: [])
        #expect(try stale(["a/#", "b"], ["b"]) == none)
        #expect(try stale(["b", "c"], ["b"]) == PerRoute(up: ["a/#"], down: []))
        #expect(try stale(["c"], ["b"]) == PerRoute(up: ["a/#", "b"], down: []))
        store.forget(["a/#", "b"], of: .up)
        #expect(try stale(["c"], ["b"]) == none)
        store.thread.stop()
    }

    @Test("a row that does not hold what it says is passed over")
    func damagedRow() throws {
        let store = try start()
        _ = try begin(store)
        _ = try commit(store, up: [batch(1, 1), batch(2, 1), batch(3, 1)], next: (4, 1))
        try store.thread.perform { database throws(StoreError) in
            try database.execute("UPDATE batch SET body = x'01ff' WHERE first_sequence < 3")
        }
        #expect(try load(store, .up, after: 0, maximumBytes: 1).map(\.firstSequence) == [3])
        try store.thread.perform { database throws(StoreError) in
            try database.execute("UPDATE batch SET first_sequence = 900 WHERE first_sequence = 3")
            try database.execute(
                "UPDATE route SET next_sequence = 0, acknowledged_through = 7, bytes = -1")
        }
        #expect(try load(store, .up, after: 0).isEmpty)
        #expect(try begin(store).state == StoredState(epoch: 0xE))
        store.thread.stop()
    }
}

private final class Box<Value: Sendable>: Sendable {
    private let content = Mutex<Result<Value, StoreError>?>(nil)
    func set(_ result: Result<Value, StoreError>) { content.withLock { $0 = result } }
    var value: Result<Value, StoreError>? { content.withLock { $0 } }
}
