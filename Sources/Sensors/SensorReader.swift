public import AgentCore
public import FleetModel
import GPIO
public import IO

/// Reads the sensors of one agent, and never lets one of them stop the loop or another sensor.
///
/// Kernel files are read on a thread for each sensor that exists while it reads; one that does not
/// answer in time is told as failed and left behind, and not asked again until it came back. So at
/// most one thread hangs for each sensor. Input lines and simulations are read on the loop.
public final class SensorReader {
    /// One sensor as it is to be read.
    public struct Sensor: Hashable, Sendable {
        public var source: SensorSource
        /// How long a reading may take.
        public var timeout: Duration

        public init(_ source: SensorSource, timeout: Duration = .seconds(10)) {
            self.source = source
            self.timeout = timeout
        }

        /// An input line whose edges are events.
        public var reportsEdges: Bool {
            guard case .gpio(let request) = source else { return false }
            return request.wantsRisingEdges || request.wantsFallingEdges
        }
    }

    /// An edge on the input line of the sensor `sensor`.
    public struct Edge: Sendable {
        public var sensor: Int
        public var edge: Event.Edge
        public var kernelNanoseconds: Int
        public var sequence: Int?
        public var taken: Moment
    }

    private enum Reader {
        case kernel(BlockingThread)
        case line(InputLine)
        case simulation(Simulation.Generator)
    }

    private let roots: KernelRoots
    private let sensors: [Sensor]
    private var readers: [Reader] = []
    /// Called on the loop for each edge of a line that reports them.
    public var onEdge: (Edge) -> Void = { _ in }

    public init(_ sensors: [Sensor], roots: KernelRoots, loop: EventLoop) {
        self.roots = roots
        self.sensors = sensors
        for (index, sensor) in sensors.enumerated() {
            switch sensor.source {
            case .simulated(let simulation):
                readers.append(.simulation(simulation.makeGenerator()))
            case .gpio(let request):
                let line = InputLine(request, loop: loop) { [weak self] raw, moment in
                    self?.onEdge(
                        Edge(
                            sensor: index, edge: raw.isRising ? .rising : .falling,
                            kernelNanoseconds: Int(clamping: raw.nanoseconds),
                            sequence: raw.sequence.map { Int(clamping: $0) }, taken: moment))
                }
                readers.append(.line(line))
            default:
                let limits = BlockingThread.Limits(
                    queueLength: 1, giveUpAfter: sensor.timeout, abandonedThreads: 1)
                readers.append(
                    .kernel(BlockingThread(loop: loop, name: "sensor", limits: limits)))
            }
        }
    }

    /// Opens the lines whose edges are wanted, before their first reading.
    public func start() {
        for case .line(let line) in readers { _ = line.read() }
    }

    /// Reads a sensor; `completion` comes once, at once or later, on the loop, with when it was taken.
    public func read(_ index: Int, completion: @escaping (Reading, Moment) -> Void) {
        switch readers[index] {
        case .simulation(var generator):
            let value = generator.next()
            readers[index] = .simulation(generator)
            completion(.value(value), .now())
        case .line(let line):
            completion(line.read(), .now())
        case .kernel(let thread):
            read(sensors[index], on: thread, completion: completion)
        }
    }

    private func read(
        _ sensor: Sensor, on thread: BlockingThread,
        completion: @escaping (Reading, Moment) -> Void
    ) {
        let roots = roots
        let work = { @Sendable () -> (Reading, Moment) in
            do throws(SensorFailure) {
                return (.value(try sensor.source.readKernel(roots)), .now())
            } catch {
                return (.failed(why: error.why), .now())
            }
        }
        let fail = { (failure: BlockingThread.Failure) in
            completion(.failed(why: Self.why(failure, sensor.timeout)), .now())
        }
        do throws(BlockingThread.Failure) {
            try thread.submit(work) { result in
                switch result {
                case .success(let (reading, moment)): completion(reading, moment)
                case .failure(let failure): fail(failure)
                }
            }
        } catch {
            fail(error)
        }
    }

    /// The same words while it hangs and hangs on, so that it is told once.
    private static func why(_ failure: BlockingThread.Failure, _ timeout: Duration) -> String {
        switch failure {
        case .gaveUp, .tooManyHang, .queueFull: "timed out: no answer within \(timeout)"
        case .noThread(let error): "no thread to read it: \(error.code)"
        }
    }
}
