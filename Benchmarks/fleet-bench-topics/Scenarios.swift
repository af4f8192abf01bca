import BenchmarkSupport
import MQTT

/// All topics of a run in one buffer, so that reading them costs what a network buffer costs.
struct Topics {
    private var bytes: [UInt8] = []
    private var ends: [Int] = []

    init(_ topics: [String]) {
        for topic in topics {
            bytes.append(contentsOf: topic.utf8)
            ends.append(bytes.count)
        }
    }

    var count: Int { ends.count }

    @inline(__always)
    func forEach(_ body: (Span<UInt8>) -> Void) {
        let all = bytes.span
        var start = 0
        for end in ends {
            body(all.extracting(start..<end))
            start = end
        }
    }
}

private let unlimited = TopicLimits(maximumWildcardFilters: .max)

private func report(_ name: String, _ measurement: Measurement, _ rest: String) {
    print(
        "\(name): \(column(measurement.nanoseconds)) ns a match, "
            + "\(measurement.allocations) allocations, \(rest)")
}

/// `filters` filters, one for each of as many subscribers, and random topics.
func benchmarkFleetMatch(filters: Int, seed: UInt64) {
    var mix = FleetMix(filters: filters, seed: seed)
    var tree = SubscriptionTree(seed: seed, limits: unlimited)
    let texts = (0..<filters).map { _ in makeFilter(mix.filter()) }
    let insertion = cpuNanoseconds {
        for (subscriber, filter) in texts.enumerated() {
            _ = tree.insert(filter, subscriber: UInt32(subscriber), options: 1)
        }
    }
    let topics = Topics((0..<100_000).map { _ in mix.topic() })
    var buffer = MatchBuffer()
    var found = 0
    var visited = 0
    let held = tree
    let measurement = Measurement(operations: topics.count) {
        topics.forEach { topic in
            held.match(topic, into: &buffer)
            found += buffer.matches.count
            visited += buffer.visitedNodes
        }
    }
    let runs = 6.0 * Double(topics.count)
    report(
        column("\(filters) filters", 17), measurement,
        "\(column(Double(found) / runs, 1)) found, \(column(Double(visited) / runs, 1)) nodes, "
            + "\(tree.byteCount / filters) bytes a filter, "
            + "\(column(insertion / Double(filters), 1)) ns an insertion")
    let removal = cpuNanoseconds {
        for subscriber in 0..<filters { tree.removeAll(UInt32(subscriber)) }
    }
    precondition(tree.nodeCount == 0)
    print("                   \(column(removal / Double(filters))) ns a removal")
}

/// A publisher that knows the filters: every way to choose between `+` and the level itself.
func benchmarkHostileMatch(seed: UInt64) {
    for (levels, filters) in [(16, 1_000), (16, 65_536), (20, 1_000)] {
        let limits = TopicLimits(maximumLevels: 20, maximumWildcardFilters: .max)
        var tree = SubscriptionTree(seed: seed, limits: limits)
        for mask in 0..<filters {
            var parts = (0..<levels).map { $0 % 2 == 0 ? "+" : "a" }
            for bit in 0..<min(levels, 16) where mask >> bit & 1 == 1 {
                parts[bit] = parts[bit] == "+" ? "a" : "+"
            }
            // No topic ends so: everything is visited and nothing is found.
            if levels > 16 || filters <= 1_000 { parts[levels - 1] = "no" }
            guard let filter = try? TopicFilter(parts.joined(separator: "/"), limits: limits) else {
                preconditionFailure("a hostile filter is invalid")
            }
            _ = tree.insert(filter, subscriber: 0, options: 0)
        }
        let topic = Array(repeating: "a", count: levels).joined(separator: "/")
        let topics = Topics(Array(repeating: topic, count: filters > 1_000 ? 10 : 1_000))
        var buffer = MatchBuffer()
        let measurement = Measurement(operations: topics.count) {
            topics.forEach { tree.match($0, into: &buffer) }
        }
        report(
            "hostile, \(filters) filters of \(levels) levels", measurement,
            "\(buffer.matches.count) found, \(buffer.visitedNodes) nodes")
    }
}

/// One topic that 10,000 subscribers ask for, each by two filters.
func benchmarkFanOut(seed: UInt64) {
    var tree = SubscriptionTree(seed: seed)
    for filter in [makeFilter("a/b"), makeFilter("a/+")] {
        for subscriber in UInt32(0)..<10_000 {
            _ = tree.insert(filter, subscriber: subscriber, options: 0)
        }
    }
    var buffer = MatchBuffer()
    let topics = Topics(Array(repeating: "a/b", count: 20))
    let overlapping = Measurement(operations: topics.count * 20_000) {
        topics.forEach { tree.match($0, into: &buffer) }
    }
    let other = Topics(Array(repeating: "a/c", count: 20))
    let single = Measurement(operations: topics.count * 10_000) {
        other.forEach { tree.match($0, into: &buffer) }
    }
    print(
        "fan-out to 10,000: \(column(single.nanoseconds, 1)) ns a subscriber, "
            + "\(column(overlapping.nanoseconds, 1)) where two filters overlap, "
            + "\(single.allocations + overlapping.allocations) allocations")
}

/// What `fleet status` asks a broker for.
func benchmarkRetained(topics count: Int, seed: UInt64) {
    var tree = RetainedTree<Int>(seed: seed)
    let channels = ["status", "info", "health", "state", "service/agent", "clock"]
    let names = (0..<count).map { index in
        let node = index / channels.count
        return "fleet/v1/site-\(node / 30)/pi-\(node % 30)/\(channels[index % channels.count])"
    }
    var generator = SeededGenerator(seed: seed)
    let topics = Topics(names.shuffled(using: &generator))
    func setAll() { topics.forEach { _ = tree.set($0, 1, bytes: 64) } }
    let first = cpuNanoseconds(setAll) / Double(count)
    let again = cpuNanoseconds(setAll) / Double(count)
    print(
        "retained, \(count) topics: \(column(first, 1)) ns a new one, "
            + "\(column(again, 1)) ns a new value")
    for text in ["fleet/v1/+/+/status", "fleet/v1/site-7/#", "#", "fleet/v1/site-7/pi-1/status"] {
        let filter = makeFilter(text)
        var found = 0
        func lookUp() {
            found = 0
            tree.forEach(matching: filter) { _, _ in
                found += 1
                return true
            }
        }
        let coldTime = cpuNanoseconds(lookUp) / 1_000
        let warm = Measurement(operations: 1, lookUp)
        print(
            "  \(text): \(found) found, \(column(coldTime, 1)) µs the first time, "
                + "\(column(warm.nanoseconds / 1_000, 1)) µs after")
    }
}
