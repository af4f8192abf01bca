import BrokerCore
import Daemon
import IO

/// All shards of the broker: the first on the main loop, each other on a loop and a thread of its own.
final class ShardGroup {
    /// The one on the main loop; the listeners' connections begin here.
    let first: ShardServer
    /// All of them, until `start`: nobody runs yet.
    private(set) var unstarted: [ShardServer]
    private let loop: EventLoop
    private let others: [LoopBound<ShardServer>]
    private let otherLoops: [LoopBound<EventLoop>]

    /// - Parameter make: makes the server of a shard for its loop.
    init(
        _ count: Int, on loop: EventLoop, mailLimit: Int,
        _ make: (ShardPosition, EventLoop) throws -> ShardServer
    ) throws {
        self.loop = loop
        var servers: [ShardServer] = []
        for index in 0..<count {
            let position = ShardPosition(index: index, count: count)
            servers.append(try make(position, index == 0 ? loop : try Self.makeLoop()))
        }
        first = servers[0]
        unstarted = servers
        if count > 1 {
            let peers = ShardPeers(servers, mailLimit: mailLimit)
            for server in servers { server.peers = peers }
        }
        others = servers.dropFirst().map { LoopBound($0, on: $0.loop) }
        otherLoops = servers.dropFirst().map { LoopBound($0.loop, on: $0.loop) }
    }

    private static func makeLoop() throws(DaemonError) -> EventLoop {
        do throws(IOError) {
            return try EventLoop()
        } catch {
            throw DaemonError(.systemError, "\(error)")
        }
    }

    /// Starts the threads. From here on nobody but its own thread touches a shard that is not the first.
    func start() throws(DaemonError) {
        unstarted = []
        for (index, loop) in otherLoops.enumerated() {
            do throws(IOError) {
                try loop.startThread(name: "shard \(index + 1)") { $0.run() }
                // What was restored may wait for its commit.
                loop.run { _ in }
            } catch {
                throw DaemonError(.systemError, "\(error)", hint: "lower threads")
            }
        }
    }

    /// Says goodbye to all clients and calls `done` when they are gone, or have had their time, and all
    /// that they were promised is committed.
    func stop(_ done: @escaping () -> Void) {
        // One after the other: what one shard sends another last is committed before any thread ends.
        stopEvery { server, isDone in
            server.stop(isDone)
        } then: { [self] in
            stopEvery { server, isDone in
                server.drain(isDone)
            } then: { [self] in
                for loop in otherLoops { loop.run { $0.stop() } }
                done()
            }
        }
    }

    /// Runs one step of the end with every shard, and `finish` when the last has done it.
    private func stopEvery(
        _ step: @escaping @Sendable (ShardServer, @escaping () -> Void) -> Void,
        then finish: @escaping () -> Void
    ) {
        var waiting = others.count + 1
        func ended() {
            waiting -= 1
            if waiting == 0 { finish() }
        }
        let reply = loop.makePort { (_: Bool) in ended() }
        for shard in others {
            shard.run { server in step(server) { reply.send(true) } }
        }
        step(first, ended)
    }

    /// Runs `work` with every shard, each on its own loop, then `finish` on the main loop with what each
    /// answered, in the order of the shards.
    ///
    /// With one shard that is at once, before this call returns.
    func onEvery<Answer: Sendable>(
        _ work: @escaping @Sendable (ShardServer) -> Answer,
        then finish: @escaping ([Answer]) -> Void
    ) {
        let answer = work(first)
        if others.isEmpty { return finish([answer]) }
        var answers: [Answer?] = Array(repeating: nil, count: others.count + 1)
        answers[0] = answer
        var missing = others.count
        var port: EventLoop.Port<Reply<Answer>>?
        let reply = loop.makePort { [loop] (reply: Reply<Answer>) in
            answers[reply.shard] = reply.answer
            missing -= 1
            guard missing == 0 else { return }
            if let port { loop.close(port) }
            finish(answers.compactMap { $0 })
        }
        port = reply
        for (index, shard) in others.enumerated() {
            shard.run { reply.send(Reply(shard: index + 1, answer: work($0))) }
        }
    }

    private struct Reply<Answer: Sendable>: Sendable {
        var shard: Int
        var answer: Answer
    }
}
