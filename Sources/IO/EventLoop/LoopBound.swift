/// A value that belongs to one loop, as other threads hold it: they send work to it, and never touch it.
///
///     let shard = LoopBound(server, on: loop)   // before the loop's thread starts, or on it
///     shard.run { server in server.stop() }     // anywhere; runs on the loop's thread
public struct LoopBound<Value>: @unchecked Sendable {
    // SAFETY: nothing reads the value but the closures of `run`, which the loop's thread runs one after
    // the other. Whoever makes this has the value on that thread, or hands it over for good.
    private let value: Value
    private let remote: EventLoop.Remote

    /// `value` is used on the thread that runs `loop`, and from now on nowhere else.
    public init(_ value: Value, on loop: EventLoop) {
        self.value = value
        remote = loop.remote
    }

    /// Starts the thread that runs the loop: `body` is all that it does, and the value is its own.
    public func startThread(
        name: String, _ body: @escaping @Sendable (Value) -> Void
    ) throws(IOError) {
        try SystemThread.start(name: name) { body(value) }
    }

    /// Runs `work` on the loop's thread, in order of arrival; dropped when the loop has gone.
    public func run(_ work: @escaping @Sendable (Value) -> Void) {
        remote.enqueue { _ in work(value) }
    }
}

/// A value on its way from one thread to another, for types that one thread at a time may use.
public struct HandedOver<Value>: @unchecked Sendable {
    // SAFETY: whoever makes this gives the value away and keeps nothing that reaches it; whoever takes
    // it out is the only one to use it.
    public let value: Value

    /// Gives `value` away: the caller does not use it, nor what it refers to, any more.
    public init(givingAway value: Value) {
        self.value = value
    }
}
