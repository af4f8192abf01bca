import Glibc

extension Syscalls {
    /// How the terminal treats its keys, tcgetattr(3).
    static func terminalSettings(_ terminal: borrowing FileDescriptor) throws(IOError) -> termios {
        let number = terminal.rawValue
        var settings = termios()
        _ = try retrying("tcgetattr") {
            // SAFETY: the C library fills the struct that lives for the call.
            unsafe Int(tcgetattr(number, &settings))
        }
        return settings
    }

    /// Changes it, and drops what was typed ahead, tcsetattr(3).
    static func setTerminalSettings(
        _ terminal: borrowing FileDescriptor, _ settings: termios
    ) throws(IOError) {
        let number = terminal.rawValue
        var settings = settings
        _ = try retrying("tcsetattr") {
            // SAFETY: the C library reads the struct that lives for the call.
            unsafe Int(tcsetattr(number, TCSAFLUSH, &settings))
        }
    }

    /// The value of a variable, getenv(3).
    static func environment(_ name: String) -> String? {
        // SAFETY: the text is copied at once, and no program here changes its environment.
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}
