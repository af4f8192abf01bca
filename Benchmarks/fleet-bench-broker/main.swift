import Glibc
import IO

// Loads a broker on loopback and counts every delivery.
//
//     fleet-bench-broker flow     messages from publishers to subscribers
//     fleet-bench-broker ping     one message under way at a time
//     fleet-bench-broker crowd    connections that stay and say nothing
//     fleet-bench-broker retain   retained messages
//     fleet-bench-broker match    random topics against many filters
//
// It prints "ready" when all are connected, waits for a line on standard input, does its work, prints
// "done" and figures as `name=value`, and stays connected until standard input ends.

/// Writes at once: a driver waits for the line.
func say(_ text: String, on descriptor: Int32 = 1) {
    let bytes = Array((text + "\n").utf8)
    // SAFETY: the address is good for the call, and the count is the array's.
    _ = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
}

func end(_ message: String, _ status: Int32) -> Never {
    say("fleet-bench-broker: \(message)", on: 2)
    exit(status)
}

func waitForDriver() {
    say("ready")
    _ = readLine()
}

func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }

/// Does what the arguments say and returns the figures to print.
func perform(
    _ command: String, _ options: inout Options, _ harness: Harness
) throws -> String {
    switch command {
    case "flow":
        let flow = Flow(try FlowScenario(&options), harness)
        try options.expectEnd()
        let seconds = try flow.run(isReady: waitForDriver)
        return "deliveries=\(flow.deliveries) seconds=\(rounded(seconds))"
    case "ping":
        let game = try PingPong(&options, harness)
        try options.expectEnd()
        let times = try game.run(isReady: waitForDriver)
        let (p50, p99) = (times[times.count / 2], times[times.count * 99 / 100])
        return "deliveries=\(times.count) p50=\(rounded(p50)) p99=\(rounded(p99))"
    case "crowd":
        let crowd = try Crowd(&options, harness)
        try options.expectEnd()
        waitForDriver()
        let seconds = try crowd.gather()
        return "deliveries=\(harness.readyCount) seconds=\(rounded(seconds))"
    case "retain":
        let fill = try RetainedFill(&options, harness)
        try options.expectEnd()
        waitForDriver()
        try fill.run()
        return "deliveries=0"
    case "match":
        let match = try Match(&options, harness)
        try options.expectEnd()
        try match.run(isReady: waitForDriver)
        return "deliveries=\(match.deliveries)"
    default: throw UsageError("there is no command '\(command)'")
    }
}

let arguments = CommandLine.arguments.dropFirst()
do {
    var options = try Options(arguments.dropFirst())
    // The loop keeps the connections, and the harness the loop.
    let harness = Harness(try Target(&options), try EventLoop())
    say("done " + (try perform(arguments.first ?? "", &options, harness)))
    while readLine() != nil {}
    withExtendedLifetime(harness) {}
} catch let error as UsageError {
    end(error.message, 64)
} catch {
    end("\(error)", 1)
}
