import Glibc
import IO
import MQTT
import Synchronization
import Testing

@Suite struct EventLoopTests {
    @Test func bytesArriveAsAReadableEventWithItsToken() throws {
        let loop = try EventLoop()
        let pair = try SocketPair(loop)
        guard let near = pair.near.take(), let far = pair.far.take() else { return }
        let probe = Probe()
        try loop.add(near, interest: .readable, token: 77, handler: probe)
        #expect(try far.write(bytes("hello").span) == 5)
        loop.run { !probe.events.isEmpty }
        #expect(probe.events.first?.token == 77)
        #expect(probe.events.first?.readiness == .readable)
        var buffer = ByteBuffer()
        #expect(try near.read(into: &buffer, atMost: 100) == .bytes(5))
        #expect(buffer.text == "hello")
        #expect(try near.read(into: &buffer, atMost: 100) == .wouldBlock)
        loop.remove(near)
    }

    @Test func whatWasNotReadIsReportedAgain() throws {
        let loop = try EventLoop()
        let pair = try SocketPair(loop)
        guard let near = pair.near.take(), let far = pair.far.take() else { return }
        let probe = Probe()
        try loop.add(near, interest: .readable, token: 0, handler: probe)
        _ = try far.write(bytes("x").span)
        loop.run { probe.events.count >= 3 }
        loop.remove(near)
    }

    @Test func anEventForADescriptorRemovedInTheSameBatchIsDropped() throws {
        let loop = try EventLoop()
        let one = try SocketPair(loop)
        let two = try SocketPair(loop)
        guard let nearOne = one.near.take(), let farOne = one.far.take(),
            let nearTwo = two.near.take(), let farTwo = two.far.take()
        else { return }
        let box = Owners(first: nearOne, second: nearTwo)
        let probe = Probe()
        probe.onReady = { token, _ in
            // Whichever comes first closes the other, and puts a new registration on its number.
            if token == 1 { box.replaceSecond(on: loop) } else { box.replaceFirst(on: loop) }
        }
        try box.watch(on: loop, probe)
        _ = try farOne.write(bytes("a").span)
        _ = try farTwo.write(bytes("b").span)
        // Both are ready before the first turn.
        loop.turn(waitingAtMost: .seconds(5))
        #expect(probe.events.count == 1)
        #expect(box.stranger.events.isEmpty, "the old owner's event reached the new one")
        box.unwatch(on: loop)
    }

    @Test func aPeerThatResetsIsReportedAsHangUpWithTheWatchedDirections() throws {
        let loop = try EventLoop()
        let pair = try SocketPair(loop)
        guard let near = pair.near.take(), let far = pair.far.take() else { return }
        let probe = Probe()
        try loop.add(near, interest: .readable, token: 0, handler: probe)
        // Unread bytes make close(2) send RST.
        _ = try near.write(bytes("unread").span)
        drop(far)
        loop.run { probe.events.contains { $0.readiness.contains([.hangUp, .readable]) } }
        var buffer = ByteBuffer()
        #expect(throws: IOError.self) { _ = try near.read(into: &buffer, atMost: 10) }
        loop.remove(near)
    }

    @Test func anOrderlyEndIsReadAsClosed() throws {
        let loop = try EventLoop()
        let pair = try SocketPair(loop)
        guard let near = pair.near.take(), let far = pair.far.take() else { return }
        far.shutDownWriting()
        var buffer = ByteBuffer()
        var progress = StreamProgress.wouldBlock
        loop.run {
            progress = (try? near.read(into: &buffer, atMost: 10)) ?? .wouldBlock
            return progress != .wouldBlock
        }
        #expect(progress == .closed)
    }

    @Test func aFullSocketWouldBlockAndBecomesWritableWhenThePeerReads() throws {
        let loop = try EventLoop()
        let pair = try SocketPair(loop)
        guard let near = pair.near.take(), let far = pair.far.take() else { return }
        var output = ByteBuffer()
        output.append([UInt8](repeating: 7, count: 16 << 20))
        var sent = 0
        while case .bytes(let count) = try near.write(from: &output) { sent += count }
        #expect(output.count == (16 << 20) - sent)
        let probe = Probe()
        try loop.add(near, interest: .writable, token: 0, handler: probe)
        loop.turn(waitingAtMost: .milliseconds(20))
        #expect(probe.events.isEmpty)
        var input = ByteBuffer()
        loop.run {
            input.removeAll(keepingCapacity: true)
            _ = try? far.read(into: &input, atMost: 1 << 20)
            return !probe.events.isEmpty
        }
        #expect(probe.events.first?.readiness == .writable)
        loop.remove(near)
    }

    @Test func writingToAClosedConnectionIsAnErrorAndNotTheEndOfTheProcess() throws {
        let loop = try EventLoop()
        let pair = try SocketPair(loop)
        guard let near = pair.near.take(), let far = pair.far.take() else { return }
        drop(far)
        var failure: IOError?
        loop.run {
            do throws(IOError) { _ = try near.write(bytes("x").span) } catch { failure = error }
            return failure != nil
        }
        #expect(failure?.code == .brokenPipe || failure?.code == .connectionReset)
    }

    @Test func workFromOtherThreadsRunsOnTheLoopInOrder() throws {
        let loop = try EventLoop()
        let seen = Mutex<[Int]>([])
        let port = loop.makePort { (number: Int) in seen.withLock { $0.append(number) } }
        let sender = BlockingThread(loop: loop, name: "sender")
        try sender.submit {
            for number in 0..<1_000 { port.send(number) }
        } completion: { _ in
        }
        loop.run { seen.withLock { $0.count } == 1_000 }
        #expect(seen.withLock { $0 } == Array(0..<1_000))
        loop.close(port)
        port.send(1_000)
        loop.turn(waitingAtMost: .milliseconds(10))
        #expect(seen.withLock { $0.count } == 1_000)
    }

    @Test func anotherThreadWakesALoopThatWaits() throws {
        let loop = try EventLoop()
        var woken = false
        let port = loop.makePort { (_: Bool) in woken = true }
        let sender = BlockingThread(loop: loop, name: "sender")
        let start = SystemClock.monotonic()
        try sender.submit {
            usleep(20_000)
            port.send(true)
        } completion: { _ in
        }
        while !woken { loop.turn(waitingAtMost: .seconds(30)) }
        #expect(SystemClock.monotonic() - start < .seconds(20))
    }

    @Test func aRemoteOutlivesItsLoopAndDropsWhatComes() throws {
        var loop: EventLoop? = try EventLoop()
        let remote = loop?.remote
        loop = nil
        remote?.enqueue { _ in Issue.record("ran on a loop that is gone") }
    }

    @Test func signalsReallyRaisedReachTheirHandler() throws {
        let loop = try EventLoop()
        var seen: [SignalNumber] = []
        try loop.onSignal([.user1]) { seen.append($0) }
        try loop.onSignal([.user2]) { seen.append($0) }
        // To this thread: those of the test runner have not blocked them.
        raise(SIGUSR1)
        loop.run { seen.count == 1 }
        raise(SIGUSR2)
        loop.run { seen.count == 2 }
        #expect(seen == [.user1, .user2])
    }

    @Test func hooksRunAtTheEndOfEachTickUntilRemoved() throws {
        let loop = try EventLoop()
        var order: [String] = []
        let hook = loop.atEndOfTick { order.append("hook") }
        loop.schedule(after: .zero) { order.append("timer") }
        loop.turn(waitingAtMost: .zero)
        #expect(order == ["timer", "hook"])
        loop.removeHook(hook)
        loop.turn(waitingAtMost: .zero)
        #expect(order == ["timer", "hook"])
    }

    @Test func aHookThatRemovesItselfDoesNotSkipTheNext() throws {
        let loop = try EventLoop()
        var order: [Int] = []
        var first: HookID?
        first = loop.atEndOfTick {
            order.append(1)
            if let first { loop.removeHook(first) }
        }
        loop.atEndOfTick { order.append(2) }
        loop.turn(waitingAtMost: .zero)
        loop.turn(waitingAtMost: .zero)
        #expect(order == [1, 2, 2])
    }

    @Test func stopEndsRunAfterTheTick() throws {
        let loop = try EventLoop()
        var hooked = false
        loop.schedule(after: .milliseconds(1)) { loop.stop() }
        loop.atEndOfTick { hooked = true }
        loop.run()
        #expect(hooked)
    }
}

/// Two watched descriptors, of which each can be replaced by a stranger on the same number.
private final class Owners {
    var first: FileDescriptor?
    var second: FileDescriptor?
    let stranger = Probe()

    init(first: consuming FileDescriptor, second: consuming FileDescriptor) {
        self.first = consume first
        self.second = consume second
    }

    func watch(on loop: EventLoop, _ probe: Probe) throws {
        guard let one = first.take(), let two = second.take() else { return }
        try loop.add(one, interest: .readable, token: 1, handler: probe)
        try loop.add(two, interest: .readable, token: 2, handler: probe)
        first = consume one
        second = consume two
    }

    func replaceFirst(on loop: EventLoop) { replace(&first, on: loop) }
    func replaceSecond(on loop: EventLoop) { replace(&second, on: loop) }

    private func replace(_ owner: inout FileDescriptor?, on loop: EventLoop) {
        guard let old = owner.take() else { return }
        loop.remove(old)
        // A pipe that nothing is ready on takes the number's place, at once: other tests open descriptors.
        var ends: [Int32] = [0, 0]
        #expect(unsafe pipe(&ends) == 0)
        let new = FileDescriptor(takingOwnership: dup2(ends[0], old.release()))
        close(ends[0])
        do {
            try loop.add(new, interest: .readable, token: 3, handler: stranger)
        } catch {
            Issue.record(error)
        }
        owner = consume new
        strayEnd = ends[1]
    }

    private var strayEnd: Int32 = -1

    func unwatch(on loop: EventLoop) {
        if let first = first.take() { loop.remove(first) }
        if let second = second.take() { loop.remove(second) }
        close(strayEnd)
    }
}

private func drop(_ descriptor: consuming FileDescriptor) {}
