import Glibc

/// The three descriptors that a command starts with, and the terminal that may be behind them.
public enum Terminal {
    public enum Stream: Int32, Sendable {
        case input = 0
        case output = 1
        case error = 2

        /// Whether a person sits at the other end, isatty(3).
        public var isTerminal: Bool { isatty(rawValue) == 1 }
    }

    /// Writes all of `bytes`, write(2); waits where the reader is slow.
    public static func write(_ bytes: Span<UInt8>, to stream: Stream) throws(IOError) {
        let descriptor = FileDescriptor(takingOwnership: stream.rawValue)
        do throws(IOError) {
            try Syscalls.writeAll(descriptor, bytes)
        } catch {
            _ = descriptor.release()
            throw error
        }
        // The process keeps its streams.
        _ = descriptor.release()
    }

    /// All of standard input up to its end; more than `limit` bytes throw `.fileTooLarge`.
    public static func readInput(limit: Int) throws(IOError) -> [UInt8] {
        try Files.read("/dev/stdin", limit: limit)
    }

    /// Asks at the controlling terminal, whatever the streams are, and reads one line that does not
    /// appear while it is typed, termios(3). `nil` where there is no terminal or the user gives up
    /// with Ctrl-C or Ctrl-D.
    public static func askSecret(_ prompt: String) throws(IOError) -> [UInt8]? {
        guard let terminal = try? Syscalls.open("/dev/tty", O_RDWR) else { return nil }
        let settings = try Syscalls.terminalSettings(terminal)
        var silent = settings
        // Keys come one by one and raise no signal: whatever is typed, the terminal is restored.
        silent.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        try Syscalls.setTerminalSettings(terminal, silent)
        defer { try? Syscalls.setTerminalSettings(terminal, settings) }
        try Syscalls.writeAll(terminal, Array(prompt.utf8).span)
        var line = SecretLine()
        while line.state == .open {
            var keys: [UInt8] = []
            if try Syscalls.read(terminal, into: &keys, atMost: 64) == 0 { line.state = .givenUp }
            for key in keys where line.state == .open { line.take(key) }
        }
        try Syscalls.writeAll(terminal, Array("\n".utf8).span)
        return line.state == .done ? line.bytes : nil
    }
}

/// The variables that the process was started with, environ(7).
public enum ProcessEnvironment {
    /// The value of a variable; `nil` when it is not set.
    public static func value(_ name: String) -> String? { Syscalls.environment(name) }
}

/// A line as it is typed.
struct SecretLine {
    enum State {
        case open, done, givenUp
    }

    static let maximumBytes = 4_096

    private(set) var bytes: [UInt8] = []
    var state = State.open

    mutating func take(_ key: UInt8) {
        switch key {
        case 0x0A, 0x0D: state = .done
        case 0x03: state = .givenUp
        case 0x04: state = bytes.isEmpty ? .givenUp : .done
        case 0x08, 0x7F: removeCharacter()
        case 0x15: bytes = []
        case 0x20... where bytes.count < Self.maximumBytes: bytes.append(key)
        default: break
        }
    }

    /// Backspace takes a whole character of UTF-8.
    private mutating func removeCharacter() {
        while let last = bytes.popLast() {
            if last & 0xC0 != 0x80 { return }
        }
    }
}
