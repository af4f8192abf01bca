import Glibc
import IO
import MQTT
import Synchronization
import Testing

@Suite struct BlockingThreadTests {
    @Test func resultsComeOnTheLoopInOrder() throws {
        let loop = try EventLoop()
        let thread = BlockingThread(loop: loop, name: "test")
        var results: [Int] = []
        for number in 0..<50 {
            try thread.submit {
                number * number
            } completion: { result in
                if case .success(let value) = result { results.append(value) }
            }
        }
        #expect(results.isEmpty, "a completion ran within submit")
        loop.run { results.count == 50 }
        #expect(results == (0..<50).map { $0 * $0 })
        #expect(thread.count == 0)
    }

    @Test func theThreadTakesNoSignalsThatTheLoopWaitsFor() throws {
        let loop = try EventLoop()
        let thread = BlockingThread(loop: loop, name: "test")
        var blocked: [Bool] = []
        try thread.submit {
            var mask = sigset_t()
            unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
            return [SIGTERM, SIGINT, SIGHUP].map { unsafe sigismember(&mask, $0) == 1 }
        } completion: { result in
            if case .success(let value) = result { blocked = value }
        }
        loop.run { !blocked.isEmpty }
        #expect(blocked == [true, true, true])
    }

    @Test func aFullQueueRefusesAtOnce() throws {
        let loop = try EventLoop()
        let thread = BlockingThread(loop: loop, name: "test", limits: .init(queueLength: 2))
        let gate = Gate()
        var done = 0
        try thread.submit {
            gate.wait()
        } completion: { _ in
            done += 1
        }
        // The first may have left the queue already, or not: two or three fit.
        var accepted = 1
        var refusal: BlockingThread.Failure?
        while refusal == nil && accepted < 10 {
            do throws(BlockingThread.Failure) {
                try thread.submit {
                    gate.wait()
                } completion: { _ in
                    done += 1
                }
                accepted += 1
            } catch {
                refusal = error
            }
        }
        #expect(refusal == .queueFull)
        #expect((2...3).contains(accepted))
        gate.open()
        loop.run { done == accepted }
    }

    @Test func cancelledWorkIsNotAnswered() throws {
        let loop = try EventLoop()
        let thread = BlockingThread(loop: loop, name: "test")
        let gate = Gate()
        let hasBegun = Gate()
        var answers: [String] = []
        let running = try thread.submit {
            hasBegun.open()
            gate.wait()
        } completion: { _ in
            answers.append("running")
        }
        let waiting = try thread.submit {
            Issue.record("cancelled work ran")
        } completion: { _ in
            answers.append("waiting")
        }
        try thread.submit {
        } completion: { _ in
            answers.append("kept")
        }
        hasBegun.wait()
        thread.cancel(running)
        thread.cancel(waiting)
        gate.open()
        loop.run { !answers.isEmpty }
        #expect(answers == ["kept"])
    }

    @Test func aHangingCallIsGivenUpAndOthersGoOn() throws {
        let loop = try EventLoop()
        let limits = BlockingThread.Limits(giveUpAfter: .milliseconds(30))
        let thread = BlockingThread(loop: loop, name: "test", limits: limits)
        let gate = Gate()
        var answers: [String] = []
        try thread.submit {
            gate.wait()
        } completion: { result in
            if case .failure(.gaveUp) = result { answers.append("given up") }
        }
        try thread.submit {
            7
        } completion: { result in
            if case .success(7) = result { answers.append("next") }
        }
        loop.run { answers.count == 2 }
        #expect(answers == ["given up", "next"])
        gate.open()
    }

    @Test func whenTooManyHangNothingStartsUntilOneEnds() throws {
        let loop = try EventLoop()
        let limits = BlockingThread.Limits(giveUpAfter: .milliseconds(10), abandonedThreads: 2)
        let thread = BlockingThread(loop: loop, name: "test", limits: limits)
        let gate = Gate()
        var failures: [BlockingThread.Failure] = []
        for _ in 0..<4 {
            try thread.submit {
                gate.wait()
            } completion: { result in
                if case .failure(let failure) = result { failures.append(failure) }
            }
        }
        loop.run { failures.count == 4 }
        #expect(failures == [.gaveUp, .gaveUp, .tooManyHang, .tooManyHang])
        #expect(throws: BlockingThread.Failure.tooManyHang) {
            try thread.submit {
            } completion: { _ in
            }
        }
        gate.open()
        // The abandoned threads end, and there is room again.
        var recovered = false
        loop.run {
            if !recovered && thread.count == 0 {
                _ = try? thread.submit {
                } completion: { _ in
                    recovered = true
                }
            }
            return recovered
        }
    }
}

/// Holds threads back until it is opened.
final class Gate: Sendable {
    private let isOpen = Mutex(false)

    func open() { isOpen.withLock { $0 = true } }

    func wait() {
        while !isOpen.withLock({ $0 }) { Pause.briefly() }
    }
}
