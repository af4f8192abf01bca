import BenchmarkSupport
import IO
import MQTT

/// One publisher, random topics, and many filters with wildcards: what a match costs a broker.
///
/// The generator has the same filters in a tree of its own, and so knows how many copies of each
/// message must come.
final class Match {
    static let sessions = 10
    private let harness: Harness
    private let filters: Int
    private let topics: Int
    private let messages: Int
    private let seed: UInt64
    private var listeners: [Listener] = []
    private(set) var deliveries = 0

    init(_ options: inout Options, _ harness: Harness) throws(UsageError) {
        self.harness = harness
        filters = max(Self.sessions, try options.number("filters", 1_000))
        topics = max(1, try options.number("topics", 200_000))
        messages = max(32, try options.number("messages", 400_000) / 32 * 32)
        seed = UInt64(try options.number("seed", 1))
    }

    func run(isReady: () -> Void) throws {
        var mix = FleetMix(filters: filters, seed: seed)
        let texts = (0..<filters).map { _ in mix.filter() }
        for number in 0..<Self.sessions {
            let own = stride(from: number, to: texts.count, by: Self.sessions).map { texts[$0] }
            listeners.append(try Listener(number, own, self, harness))
        }
        try harness.waitUntilReady(Self.sessions)
        let names = (0..<topics).map { _ in mix.topic() }
        let copies = expectedCopies(texts, names)
        let publisher = try Peer(harness, name: "match-publisher")
        try harness.waitUntilReady(Self.sessions + 1)
        isReady()
        try publish(names, copies, publisher)
    }

    private func publish(_ names: [String], _ copies: [Int], _ publisher: Peer) throws {
        let payload = [UInt8](repeating: 0x78, count: 64)
        let packets = names.map { PacketBytes.publish($0, payload: payload, harness.target) }
        var generator = SeededGenerator(seed: seed &+ 1)
        var sent = 0
        var expected = 0
        try harness.turn(
            progress: { deliveries }, until: { sent == messages && deliveries == expected }
        ) {
            while sent < messages, publisher.output.isEmpty, expected - deliveries < 4_096 {
                for _ in 0..<32 {
                    let topic = Int.random(in: names.indices, using: &generator)
                    publisher.output.append(packets[topic])
                    expected += copies[topic]
                }
                sent += 32
                publisher.flush()
            }
        }
        if deliveries != expected { harness.fail("\(deliveries) came, \(expected) were expected") }
    }

    /// How many sessions ask for each topic.
    private func expectedCopies(_ filters: [String], _ names: [String]) -> [Int] {
        var tree = SubscriptionTree(
            seed: seed, limits: TopicLimits(maximumWildcardFilters: .max))
        for (index, text) in filters.enumerated() {
            _ = tree.insert(
                makeFilter(text), subscriber: UInt32(index % Self.sessions), options: 0)
        }
        var buffer = MatchBuffer()
        return names.map { name in
            let bytes = Array(name.utf8)
            tree.match(bytes.span, into: &buffer)
            return Set(buffer.matches.map(\.subscriber)).count
        }
    }

    /// One session with many filters.
    private final class Listener: Peer {
        private unowned let match: Match
        private var filters: ArraySlice<String>

        init(_ number: Int, _ filters: [String], _ match: Match, _ harness: Harness) throws {
            self.match = match
            self.filters = filters[...]
            try super.init(harness, name: "match-\(number)")
        }

        override func opened() { subscribeNext() }

        private func subscribeNext() {
            guard !filters.isEmpty else { return harness.peerIsReady() }
            output.append(
                PacketBytes.subscribe(filters.prefix(50), qos: .atMostOnce, harness.target))
            filters = filters.dropFirst(50)
            flushLater()
        }

        override func take(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>) {
            if first == 0x90 {
                let codes = body.lowerBound + (harness.target.version == .v5_0 ? 3 : 2)
                for index in codes..<body.upperBound where bytes[index] >= 0x80 {
                    return harness.fail("\(name): a subscription was refused")
                }
                subscribeNext()
            } else {
                match.deliveries += 1
            }
        }
    }
}
