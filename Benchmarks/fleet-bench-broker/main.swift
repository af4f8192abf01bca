import Glibc
import IO

// Loads a broker on loopback and counts every delivery. Prints "ready" when all are connected, waits
// for a line on standard input, publishes, and prints the deliveries and the seconds they took.

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

switch Scenario.parse(CommandLine.arguments.dropFirst()) {
case .failure(let error):
    end(error.message, 64)
case .success(let scenario):
    do {
        let load = try Load(scenario)
        try load.run {
            say("ready")
            _ = readLine()
        }
        if let failure = load.failure { end(failure, 1) }
        let (seconds, attoseconds) = load.elapsed.components
        say("\(load.deliveries) \(Double(seconds) + Double(attoseconds) / 1e18)")
    } catch {
        end("\(error)", 1)
    }
}
