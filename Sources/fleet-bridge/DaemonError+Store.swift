import Daemon
import Store

extension DaemonError {
    /// What a store's error means to whoever started this program. One that no later attempt changes is like a
    /// wrong configuration.
    init(_ error: StoreError, otherwise exitCode: ExitCode) {
        self.init(
            error.isForGood ? .configuration : exitCode, "\(error.path): \(error.message)",
            hint: error.hint)
    }

    /// Runs what a command does with a store.
    static func ofStore<Value>(
        _ body: () throws(StoreError) -> Value
    ) throws(DaemonError) -> Value {
        do throws(StoreError) {
            return try body()
        } catch {
            var failure = DaemonError(error, otherwise: .dataError)
            // Nothing is put aside by a command.
            if error.kind == .corrupt { failure.hint = nil }
            throw failure
        }
    }
}
