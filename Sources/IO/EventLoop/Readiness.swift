/// What a descriptor is watched for, and what an event says about it.
public struct Readiness: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Reading makes progress: bytes, a connection to accept, or the end.
    public static let readable = Readiness(rawValue: 1)
    /// Writing makes progress, or a connection attempt has ended.
    public static let writable = Readiness(rawValue: 2)
    /// Both directions have ended, or there is an error; always reported, and again until it is handled.
    public static let hangUp = Readiness(rawValue: 4)
}

/// Whoever reads and writes a descriptor that an `EventLoop` watches.
public protocol EventHandler: AnyObject {
    /// Called once per event. `token` is the one given to `EventLoop.add`.
    ///
    /// With `.hangUp` come all directions that are watched, so that a handler may just read or write and
    /// learn the reason; one that watches nothing must look for `.hangUp`.
    func ready(token: UInt64, readiness: Readiness)
}
