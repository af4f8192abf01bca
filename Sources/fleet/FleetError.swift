/// Why a command could not do what it was asked to: what failed, and what to do.
struct FleetError: Error, Hashable, CustomStringConvertible {
    let problem: String
    /// What can be done about it; empty when there is nothing.
    let hint: String

    init(_ problem: String, hint: String = "") {
        self.problem = problem
        self.hint = hint
    }

    var description: String { hint.isEmpty ? problem : "\(problem); \(hint)" }

    /// Whoever reads the output has gone.
    static let outputClosed = FleetError("the output was closed")
}

/// How a command ends. The numbers are part of the command's reference.
enum FleetExit: Int32 {
    case fine = 0
    /// Something is wrong in the fleet, or nothing came.
    case wrong = 1
    /// The command was used wrongly, or could not do its work.
    case failed = 2
}
