/// What a subcommand has to say beside its result.
public enum StandardError {
    /// Writes one line.
    public static func write(_ line: String) { Kernel.writeOnce(2, line + "\n") }
}
