// What a match and a look-up cost. Everything is drawn from one seed, which is printed.
//
//     fleet-bench-topics [SEED] [SCENARIO ...]
//
// Scenarios: a number of filters, "hostile", "fan-out", "retained". All without a name.
import BenchmarkSupport
import CAllocationCount
import MQTT

let arguments = CommandLine.arguments.dropFirst()
let seed = arguments.first.flatMap { UInt64($0) } ?? 1
let named = Array(arguments.dropFirst())
print("topics: seed \(seed), processor time, the fastest of five runs")
print(FleetMix.description)
for scenario in named.isEmpty
    ? ["1000", "100000", "1000000", "hostile", "fan-out", "retained"] : named
{
    switch scenario {
    case "hostile": benchmarkHostileMatch(seed: seed)
    case "fan-out": benchmarkFanOut(seed: seed)
    case "retained": benchmarkRetained(topics: 100_000, seed: seed)
    default: benchmarkFleetMatch(filters: Int(scenario) ?? 1_000, seed: seed)
    }
}
