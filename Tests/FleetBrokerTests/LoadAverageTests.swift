import Foundation
import Testing

@testable import fleet_broker

@Suite struct LoadAverageTests {
    @Test func `the decay is that of the exponential function`() {
        for x in [0, 1e-9, 0.01, 0.1, 0.125, 0.3, 1, 2.5, 10, 60, 300, 699] {
            let expected = exp(-x)
            #expect(abs(LoadAverages.decay(x) - expected) <= expected * 1e-10)
        }
        #expect(LoadAverages.decay(1e9) == 0)
    }

    @Test func `an average comes near a steady rate, the short one first`() {
        var loads = LoadAverages()
        var count: UInt64 = 0
        loads.note([count], after: 0)
        // 100 a minute for five minutes.
        for _ in 0..<30 {
            count += 100 / 6 + (count % 3 == 0 ? 1 : 0)
            loads.note([count], after: 10)
        }
        let averages = loads.averages[0]
        #expect(abs(averages[0] - 100) < 8)
        #expect(averages[0] > averages[1] && averages[1] > averages[2])
        #expect(abs(averages[1] - 100 * (1 - exp(-1))) < 8)
        for _ in 0..<60 { loads.note([count], after: 60) }
        #expect(loads.averages[0][2] < 3)
    }

    @Test(arguments: [
        (0, "0.00"), (0.004, "0.00"), (0.005, "0.01"), (1.239, "1.24"), (12, "12.00"),
        (1e15, "1000000000000000.00"), (.nan, "0.00"), (.infinity, "0.00"), (-1, "0.00"),
    ])
    func `a load has two decimals`(_ value: Double, _ text: String) {
        #expect(LoadAverages.text(value) == text)
    }
}
