/// The one owner of an open descriptor; closes it when it goes, close(2).
///
/// A descriptor that is watched by an `EventLoop` must be removed there before its owner goes.
public struct FileDescriptor: ~Copyable, Sendable {
    /// The kernel's number; valid as long as this value lives.
    public let rawValue: Int32

    /// Owns `rawValue` from now on: nobody else may close it.
    public init(takingOwnership rawValue: Int32) {
        precondition(rawValue >= 0, "a descriptor is never negative")
        self.rawValue = rawValue
    }

    deinit {
        Syscalls.close(rawValue)
    }

    /// Gives the open descriptor to the caller, who closes it.
    public consuming func release() -> Int32 {
        let number = rawValue
        discard self
        return number
    }
}
