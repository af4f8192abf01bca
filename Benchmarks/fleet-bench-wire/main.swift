// What decoding and encoding one packet costs.
//
//     fleet-bench-wire [PACKETS]
//
// Each kind of packet fills one buffer with PACKETS of them (1,000 unless told), which is decoded
// from end to end, and encoded again, many times over; the best of seven runs counts.
import MQTT

let packets = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000
print("wire: \(packets) packets in a buffer, best of 7 runs")
print("\(pad("packet", 40)) bytes    decode ns   encode ns   allocations")
for subject in Subject.all { subject.measure(packets: packets) }
