import AgentCore
import Glibc

/// A made-up sensor: the same seed gives the same values, reading by reading.
public struct Simulation: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// A day in the life of a thermometer, with a little noise.
        case sine
        /// Each value a small step from the last, held within the amplitude.
        case walk
        /// Levels that jump now and then.
        case steps
    }

    public var kind: Kind
    public var mean: Double
    public var amplitude: Double
    /// Readings in one period of the sine, and on average between two jumps of the steps.
    public var period: Int
    public var seed: UInt64

    public init(
        kind: Kind = .sine, mean: Double = 20, amplitude: Double = 5, period: Int = 60,
        seed: UInt64 = 1
    ) {
        self.kind = kind
        self.mean = mean
        self.amplitude = amplitude
        self.period = max(1, period)
        self.seed = seed
    }

    public func makeGenerator() -> Generator { Generator(self) }

    /// The values of a simulation, one after the other, to three places.
    public struct Generator: Sendable {
        private let simulation: Simulation
        private var random: SplitMix64
        private let phase: Double
        private var reading = 0
        private var level: Double

        init(_ simulation: Simulation) {
            self.simulation = simulation
            random = SplitMix64(seed: simulation.seed)
            phase = random.nextUnit() * 2 * .pi
            level = 2 * random.nextUnit() - 1
        }

        public mutating func next() -> Double {
            defer { reading += 1 }
            let relative =
                switch simulation.kind {
                case .sine: sine()
                case .walk: walk()
                case .steps: step()
                }
            let value = simulation.mean + simulation.amplitude * relative
            return (value * 1000).rounded() / 1000
        }

        private mutating func sine() -> Double {
            let turn = Double(reading % simulation.period) / Double(simulation.period)
            return 0.98 * sin(2 * .pi * turn + phase) + 0.02 * (2 * random.nextUnit() - 1)
        }

        private mutating func walk() -> Double {
            level = min(1, max(-1, level + 0.1 * (2 * random.nextUnit() - 1)))
            return level
        }

        private mutating func step() -> Double {
            if random.nextUnit() * Double(simulation.period) < 1 {
                level = 2 * random.nextUnit() - 1
            }
            return level
        }
    }
}
