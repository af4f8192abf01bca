import FleetModel
import IO
import MQTT
import Synchronization

/// The log of a daemon: one line of text for each event, to standard error.
///
///     log.notice("listening", ["address": address])
///     2025-03-09T07:05:01.042Z notice listening address=127.0.0.1:1883
///
/// Under systemd, whose journal adds the time, a line begins with its priority instead: `<5>listening …`.
/// As JSON, each line is an object (`LogLine.json`), behind its priority where a journal reads it.
/// Payloads and credentials never go into a field. Usable from any thread.
public final class Log: Sendable {
    private struct Window {
        var start = MonotonicTime.zero
        var lines = 0
        var leftOut = 0
    }

    private struct State {
        var options: LogOptions
        var windows: [LogLevel: Window] = [:]
    }

    private let state: Mutex<State>
    private let descriptor: Int32
    private let hasPriorities: Bool

    /// A log that writes to standard error.
    public convenience init(_ options: LogOptions = LogOptions()) {
        self.init(
            options, descriptor: 2,
            hasPriorities: Kernel.isJournal(2, stream: Kernel.environment("JOURNAL_STREAM")))
    }

    /// `descriptor` stays the caller's. `hasPriorities`: whether a journal reads it.
    init(_ options: LogOptions, descriptor: Int32, hasPriorities: Bool) {
        state = Mutex(State(options: options))
        self.descriptor = descriptor
        self.hasPriorities = hasPriorities
    }

    public typealias Fields = KeyValuePairs<String, any CustomStringConvertible>

    public func debug(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.debug, message, fields)
    }

    public func info(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.info, message, fields)
    }

    public func notice(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.notice, message, fields)
    }

    public func warning(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.warning, message, fields)
    }

    public func error(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.error, message, fields)
    }

    /// A line of a level that is only known when it is written.
    public func write(
        _ level: LogLevel, _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(level, message, fields)
    }

    /// May be changed while others log.
    public var options: LogOptions {
        get { state.withLock { $0.options } }
        set { state.withLock { $0.options = newValue } }
    }

    /// The lowest level that is written.
    public var level: LogLevel {
        get { options.level }
        set { state.withLock { $0.options.level = newValue } }
    }

    /// Says how many lines were left out so far; called at the end.
    public func flush() {
        for level in LogLevel.allCases {
            let count = state.withLock { state in
                let count = state.windows[level]?.leftOut ?? 0
                state.windows[level]?.leftOut = 0
                return count
            }
            if count > 0 { tellLeftOut(count, level) }
        }
    }

    private func write(_ level: LogLevel, _ message: () -> String, _ fields: () -> Fields) {
        guard let leftOut = admit(level, at: SystemClock.monotonic()) else { return }
        if leftOut > 0 { tellLeftOut(leftOut, level) }
        emit(level, message(), fields())
    }

    /// `nil`: not to be written; else how many lines of this level were left out before it.
    func admit(_ level: LogLevel, at now: MonotonicTime) -> Int? {
        state.withLock { state in
            guard level >= state.options.level else { return nil }
            var window = state.windows[level] ?? Window(start: now)
            defer { state.windows[level] = window }
            if now - window.start >= .seconds(1) {
                window.start = now
                window.lines = 0
            }
            guard window.lines < state.options.linesPerSecond else {
                window.leftOut += 1
                return nil
            }
            window.lines += 1
            defer { window.leftOut = 0 }
            return window.leftOut
        }
    }

    private func tellLeftOut(_ count: Int, _ level: LogLevel) {
        emit(
            level, "log lines left out",
            ["count": count, "limit_per_second": options.linesPerSecond])
    }

    private func emit(_ level: LogLevel, _ message: String, _ fields: Fields) {
        let priority = hasPriorities ? "<\(level.priority)>" : ""
        let time = Timestamp(unixMilliseconds: SystemClock.unixMilliseconds())
        let line =
            switch options.format {
            case .json: priority + LogLine.json(time, level, message, fields)
            case .text where hasPriorities: priority + LogLine.text(message, fields)
            case .text: "\(time) \(level.rawValue) " + LogLine.text(message, fields)
            }
        // One write for a line, so that lines of several threads do not mix. A log that cannot be
        // written is no reason to stop, and there is nowhere to say so.
        Kernel.writeOnce(descriptor, line + "\n")
    }
}
