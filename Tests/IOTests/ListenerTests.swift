import Glibc
import MQTT
import Testing

@testable import IO

@Suite struct ListenerTests {
    @Test func connectionsAreAcceptedWithTheirPeersAddress() throws {
        let loop = try EventLoop()
        let listener = try Listener(.loopbackIPv4(port: 0))
        #expect(listener.address.port != 0)
        var peers: [SocketAddress] = []
        try listener.start(on: loop) { _, peer in peers.append(peer) }
        let one = try FileDescriptor.connecting(to: listener.address).takeSocket()
        let two = try FileDescriptor.connecting(to: listener.address).takeSocket()
        loop.run { peers.count == 2 }
        #expect(Set(peers) == [try one.localAddress(), try two.localAddress()])
        listener.stop()
    }

    @Test func aFloodIsAcceptedInBatches() throws {
        let loop = try EventLoop()
        let listener = try Listener(.loopbackIPv4(port: 0))
        var clients: [Int32] = []
        for _ in 0..<(Listener.batchSize + 10) {
            clients.append(
                try FileDescriptor.connecting(to: listener.address).takeSocket().release())
        }
        var accepted = 0
        try listener.start(on: loop) { _, _ in accepted += 1 }
        loop.turn(waitingAtMost: .seconds(5))
        #expect(accepted == Listener.batchSize)
        loop.turn(waitingAtMost: .seconds(5))
        #expect(accepted == Listener.batchSize + 10)
        for client in clients { _ = FileDescriptor(takingOwnership: client) }
    }

    @Test func aHandlerMayStopItsListenerInTheMiddleOfABatch() throws {
        let loop = try EventLoop()
        let listener = try Listener(.loopbackIPv4(port: 0))
        let one = try FileDescriptor.connecting(to: listener.address)
        let two = try FileDescriptor.connecting(to: listener.address)
        var accepted = 0
        try listener.start(on: loop) { _, _ in
            accepted += 1
            listener.stop()
        }
        loop.turn(waitingAtMost: .seconds(5))
        loop.turn(waitingAtMost: .milliseconds(10))
        #expect(accepted == 1)
        _ = (one.isConnected, two.isConnected)
    }

    @Test func whoHasAPortIsFoundByItsSocket() throws {
        for listener in try Listener.loopback(port: 0) {
            let port = try #require(listener.address.port)
            let holder = try #require(PortHolder.find(port: port))
            let name = try Files.read("/proc/self/comm", limit: 64).filter { $0 >= 0x20 }
            #expect(
                holder.description
                    == "\(String(decoding: name, as: UTF8.self)) (process \(getpid()))")
        }
        // A port that somebody only connects from is nobody's.
        let listener = try Listener(.loopbackIPv4(port: 0))
        let client = try FileDescriptor.connecting(to: listener.address).takeSocket()
        #expect(PortHolder.find(port: try #require(try client.localAddress().port)) == nil)
        #expect("\(PortHolder.user("mosquitto"))" == "a program of the user mosquitto")
    }

    @Test func aPortThatIsTakenIsAnErrorThatSaysWhatToDo() throws {
        let first = try Listener(.loopbackIPv4(port: 0))
        let error = #expect(throws: IOError.self) { _ = try Listener(first.address) }
        #expect(error?.code == .addressInUse)
        #expect(error?.description.contains("\(first.address)") == true)
        #expect(error?.description.contains("ss -ltnp") == true)
    }

    @Test func anAddressOfAnotherMachineIsAnErrorUnlessItMayComeLater() throws {
        let error = #expect(throws: IOError.self) {
            _ = try Listener(try #require(SocketAddress("192.0.2.1:0")))
        }
        #expect(error?.code == .addressNotAvailable)
        for text in ["192.0.2.1:0", "[2001:db8::1]:0"] {
            let address = try #require(SocketAddress(text))
            guard let early = try? Listener(address, early: true) else {
                #expect(text.contains("::"), "only IPv6 may be missing")
                continue
            }
            #expect(early.awaitsAddress)
        }
        #expect(try !Listener(.loopbackIPv4(port: 0), early: true).awaitsAddress)
    }

    @Test func loopbackListensOnBothFamiliesWhereTheMachineHasThem() throws {
        let loop = try EventLoop()
        let listeners = try Listener.loopback(port: 0)
        #expect(listeners.first?.address.host == "127.0.0.1")
        #expect((1...2).contains(listeners.count))
        #expect(Set(listeners.map(\.address.port)).count == 1)
        for listener in listeners {
            var accepted = 0
            try listener.start(on: loop) { _, _ in accepted += 1 }
            let client = try FileDescriptor.connecting(to: listener.address)
            loop.run { accepted == 1 }
            listener.stop()
            _ = client.isConnected
        }
    }

    @Test func aUnixSocketIsTakenOverFromTheDeadAndNotFromTheLiving() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("x.sock")
        var first: Listener? = try Listener(.unix(path))
        let taken = #expect(throws: IOError.self) { _ = try Listener(.unix(path)) }
        #expect(taken?.code == .addressInUse)
        #expect(Files.exists(path))
        // The path of a listener that died without removing it: a bound socket that does not listen.
        first = nil
        #expect(first == nil && !Files.exists(path))
        do {
            let dead = try Syscalls.makeSocket(for: .unix(path))
            try Syscalls.bind(dead, to: .unix(path))
        }
        #expect(Files.exists(path))
        let loop = try EventLoop()
        let second = try Listener(.unix(path))
        var accepted = 0
        try second.start(on: loop) { _, _ in accepted += 1 }
        let client = try FileDescriptor.connecting(to: .unix(path))
        loop.run { accepted == 1 }
        second.stop()
        _ = client.isConnected
    }

    @Test func optionsReachTheAcceptedSocket() throws {
        let loop = try EventLoop()
        var options = StreamOptions()
        options.keepAliveSeconds = 45
        options.userTimeoutMilliseconds = 12_000
        let listener = try Listener(.loopbackIPv4(port: 0), options: options)
        var seen: [Int32] = []
        try listener.start(on: loop) { connection, _ in
            let tcp = Int32(IPPROTO_TCP)
            for option in [TCP_NODELAY, TCP_KEEPIDLE, TCP_USER_TIMEOUT] {
                seen.append((try? Syscalls.option(connection, level: tcp, option)) ?? -1)
            }
        }
        let client = try FileDescriptor.connecting(to: listener.address)
        loop.run { !seen.isEmpty }
        #expect(seen == [1, 45, 12_000])
        _ = client.isConnected
    }

    // In a process of its own: the limit is the process's.
    @Test func withoutDescriptorsStrangersAreRefusedAndTheLoopDoesNotSpin() async {
        await #expect(processExitsWith: .success) {
            let loop = try EventLoop()
            let listener = try Listener(.loopbackIPv4(port: 0))
            var kept: [Int32] = []
            var troubles: [IOError] = []
            try listener.start(on: loop) {
                troubles.append($0)
            } accept: { connection, _ in
                kept.append(connection.release())
            }
            let stranger = try FileDescriptor.connecting(to: listener.address).takeSocket()
            // Everything that is free goes, so that accept(2) has no number left.
            while case let number = dup(0), number >= 0 { kept.append(number) }
            var end = StreamProgress.wouldBlock
            loop.run {
                var buffer = ByteBuffer()
                end = (try? stranger.read(into: &buffer, atMost: 1)) ?? .closed
                return end == .closed
            }
            precondition(listener.refusedCount == 1)
            precondition(troubles.first?.code == .tooManyOpenFiles)
            // One number is free again, and the next connection is served.
            close(kept.removeLast())
            close(kept.removeLast())
            let count = kept.count
            let guest = try FileDescriptor.connecting(to: listener.address)
            loop.run { kept.count > count }
            precondition(guest.socket.rawValue >= 0)
            exit(0)
        }
    }
}
