import Foundation
import Synchronization
import Testing

@testable import Store

private let syncFailure = StoreError(.inputOutput, "disk I/O error", path: "x", code: .synchronize)

/// A thread on a new store; `fault` may throw in place of each commit.
private func start(
    _ folder: Folder, _ notes: Notes, limits: StoreThread.Limits = .init(),
    fault: (@Sendable () throws(StoreError) -> Void)? = nil
) throws(StoreError) -> StoreThread {
    let path = folder.store
    return try StoreThread.start(
        path: path, limits: limits, open: { () throws(StoreError) in try open(path) },
        onEvent: { event in
            switch event {
            case .reopened(let error): notes.add("reopened \(error.kind)")
            case .failed(let error): notes.add("failed \(error.kind)")
            }
        }, beforeCommit: fault)
}

/// Inserts a number, and notes how that went.
private func put(_ number: Int, _ thread: StoreThread, _ notes: Notes) -> Bool {
    thread.submit { database throws(StoreError) in
        try insert(number, database)
    } completion: { result in
        switch result {
        case .success: notes.add("\(number)")
        case .failure(let error): notes.add("\(number) \(error.kind)")
        }
    }
}

/// Holds the thread within a piece of work until `open`.
private final class Gate: Sendable {
    private let entered = Semaphore()
    private let gate = Semaphore()

    func close(_ thread: StoreThread) {
        let isTaken = thread.submit { [entered, gate] _ throws(StoreError) in
            entered.signal()
            gate.wait()
        } completion: { _ in
        }
        #expect(isTaken)
        entered.wait()
    }

    func open() { gate.signal() }
}

@Suite struct GroupCommit {
    @Test func workThatWaitsDuringACommitIsOneTransactionInOrder() throws {
        let folder = try Folder()
        let (notes, gate, commits) = (Notes(), Gate(), Notes())
        let thread = try start(folder, notes) { () throws(StoreError) in commits.add("") }
        gate.close(thread)
        for number in 1...100 { #expect(put(number, thread, notes)) }
        #expect(thread.queuedWork == 100)
        gate.open()
        let rows = try thread.perform { database throws(StoreError) in try numbers(database) }
        #expect(rows == Array(1...100))
        #expect(notes.all == (1...100).map { "\($0)" })
        // The gate's, and the hundred's; the last read may be with those or alone.
        #expect((2...3).contains(commits.all.count))
        thread.stop()
        #expect(try numbers(open(folder.store)) == Array(1...100))
    }

    @Test func aCompletionComesAfterTheCommit() throws {
        let folder = try Folder()
        let (notes, path) = (Notes(), folder.store)
        let thread = try start(folder, notes)
        let isTaken = thread.submit { database throws(StoreError) in
            try insert(1, database)
        } completion: { _ in
            // Another connection sees what is committed, and only that.
            notes.add("\((try? numbers(open(path))) ?? [])")
        }
        #expect(isTaken)
        thread.stop()
        #expect(notes.all == ["[1]"])
    }

    @Test func workThatFailsTakesOnlyItselfBack() throws {
        let folder = try Folder()
        let (notes, gate) = (Notes(), Gate())
        let thread = try start(folder, notes)
        gate.close(thread)
        for number in [1, 2, 2, 3] { #expect(put(number, thread, notes)) }
        gate.open()
        thread.stop()
        #expect(notes.all == ["1", "2", "2 constraint", "3"])
        #expect(try numbers(open(folder.store)) == [1, 2, 3])
    }

    @Test func aFullQueueAndAStoppedThreadRefuse() throws {
        let folder = try Folder()
        let (notes, gate) = (Notes(), Gate())
        var limits = StoreThread.Limits()
        limits.queuedWork = 3
        limits.groupedWork = 2
        let thread = try start(folder, notes, limits: limits)
        gate.close(thread)
        #expect((1...5).map { put($0, thread, notes) } == [true, true, true, false, false])
        gate.open()
        thread.stop()
        #expect(notes.all == ["1", "2", "3"])
        #expect(!put(9, thread, notes))
        #expect(
            failure { () throws(StoreError) in try thread.perform { _ throws(StoreError) in } }?
                .kind
                == .refused)
        #expect(try numbers(open(folder.store)) == [1, 2, 3])
    }

    @Test func theErrorOfOpeningIsTheErrorOfStarting() throws {
        let folder = try Folder()
        try folder.write([1, 2, 3], to: folder.store)
        #expect(
            failure { () throws(StoreError) in _ = try start(folder, Notes()) }?.kind == .corrupt)
    }

    @Test func bytesWrittenAreCounted() throws {
        let folder = try Folder()
        let thread = try start(folder, Notes())
        let before = try #require(thread.bytesWritten)
        try thread.perform { database throws(StoreError) in
            try insert(1, database, count: 100_000)
        }
        #expect(try #require(thread.bytesWritten) >= before + 100_000)
        thread.stop()
    }
}

@Suite struct AFailingDisk {
    @Test func afterAFailedSyncNothingIsAcknowledgedUntilTheStoreWasReopened() throws {
        let folder = try Folder()
        let (notes, gate) = (Notes(), Gate())
        let faults = Mutex(0)
        let thread = try start(folder, notes) { () throws(StoreError) in
            // The first commit is the gate's.
            if faults.withLock({
                $0 += 1
                return $0 == 2
            }) {
                throw syncFailure
            }
        }
        gate.close(thread)
        for number in 1...2 { #expect(put(number, thread, notes)) }
        gate.open()
        // May still be of the group that fails; in any case it waits for the answer.
        let rows = try? thread.perform { database throws(StoreError) in try numbers(database) }
        #expect(rows == nil || rows == [])
        #expect(put(3, thread, notes))
        thread.stop()
        #expect(
            notes.all == ["1 inputOutput", "2 inputOutput", "reopened inputOutput", "3"])
        #expect(try numbers(open(folder.store)) == [3])
    }

    @Test func aDiskThatStaysBrokenFailsAllWork() throws {
        let folder = try Folder()
        let (notes, path) = (Notes(), folder.store)
        let opened = Mutex(0)
        let thread = try StoreThread.start(
            path: path, limits: .init(),
            open: { () throws(StoreError) in
                if opened.withLock({
                    $0 += 1
                    return $0 > 1
                }) {
                    throw syncFailure
                }
                return try open(path)
            }, onEvent: { notes.add("\($0)".prefix { $0 != "(" }.description) },
            beforeCommit: { () throws(StoreError) in throw syncFailure })
        #expect(put(1, thread, notes))
        thread.stop()
        #expect(notes.all == ["1 inputOutput", "failed"])
        #expect(try numbers(open(path)) == [])
    }

    @Test func corruptionAtRunTimeFailsAllWorkUntilTheOwnerActs() throws {
        let folder = try Folder()
        let (notes, gate) = (Notes(), Gate())
        let thread = try start(folder, notes) { () throws(StoreError) in
            throw StoreError(.corrupt, "malformed", path: "x", code: .corrupt)
        }
        gate.close(thread)
        gate.open()
        #expect(put(1, thread, notes))
        thread.stop()
        #expect(notes.all == ["failed corrupt", "1 corrupt"])
        // As the owner then does.
        _ = try StoreFile.quarantine(folder.store)
        #expect(try open(folder.store).isNew)
    }
}
