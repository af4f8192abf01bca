import AgentCore
import GPIO
import IO

/// One GPIO line: requested when it is first read, again after it was lost, and watched for edges.
final class InputLine: EventHandler {
    private let request: GPIOLineRequest
    private let loop: EventLoop
    private let onEdge: (GPIOEdge, Moment) -> Void
    private var line: GPIOLine?

    init(
        _ request: GPIOLineRequest, loop: EventLoop,
        onEdge: @escaping (GPIOEdge, Moment) -> Void
    ) {
        self.request = request
        self.loop = loop
        self.onEdge = onEdge
    }

    deinit { close() }

    /// The level, or why it cannot be read; a line that another process holds is asked for again at
    /// the next reading.
    func read() -> Reading {
        do {
            return .value(try opened().value() ? 1 : 0)
        } catch let error as GPIOError {
            return .failed(why: error.description)
        } catch {
            close()
            return .failed(why: (error as? IOError)?.code.description ?? "cannot be read")
        }
    }

    private func opened() throws -> GPIOLine {
        if let line { return line }
        let opened = try GPIOLine(request, consumer: "fleet-agent")
        try opened.watch(on: loop, handler: self)
        line = opened
        return opened
    }

    private func close() {
        line?.unwatch(on: loop)
        line = nil
    }

    func ready(token: UInt64, readiness: Readiness) {
        guard let line else { return }
        do throws(IOError) {
            let edges = try line.readEdges()
            let now = Moment.now()
            for edge in edges {
                onEdge(edge, now.before(GPIOLine.age(ofNanoseconds: edge.nanoseconds)))
            }
        } catch {
            // The chip is gone; the next reading says why and tries again.
            close()
        }
    }
}
