/// Where the kernel's folders are; other roots serve tests on recorded trees.
public struct KernelRoots: Hashable, Sendable {
    public var proc: String
    public var sys: String
    /// Before `/etc`, `/run` and `/var`.
    public var root: String

    public init(proc: String = "/proc", sys: String = "/sys", root: String = "") {
        self.proc = proc
        self.sys = sys
        self.root = root
    }
}

/// Why a sensor has no value, in words that fit into `why`.
public struct SensorFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public let why: String
    public init(_ why: String) { self.why = why }
    public var description: String { why }
}
