/// Has systemd wait while a start goes on, and say how far it is. What makes no progress is killed after all.
public final class StartProgress {
    /// How long one step may take.
    public static let patience = Duration.seconds(300)
    /// Between two words.
    private static let pauseMicroseconds: Int64 = 5_000_000

    private let notifier: ServiceNotifier
    private var nextWord: Int64 = 0

    public init(_ notifier: ServiceNotifier) { self.notifier = notifier }

    /// To be called at each step, however small: most calls only look at the clock.
    public func advance(_ status: @autoclosure () -> String) {
        let now = Kernel.monotonicMicroseconds()
        guard now >= nextWord else { return }
        nextWord = now + Self.pauseMicroseconds
        notifier.extendTimeout(by: Self.patience)
        notifier.status(status())
    }
}
