/// What an HTTP server takes before it answers with an error or closes; each limit says which.
public struct HTTPLimits: Hashable, Sendable {
    /// Connections at a time; the next one gets 503 and is closed.
    public var connections = 32
    /// Bytes of a request's head, from its first line to the empty one; above it 431.
    public var headBytes = 8 * 1024
    /// Bytes of a request's target; above it 414.
    public var targetBytes = 2 * 1024
    /// From the first byte of a request to the end of its head; then 408. Slow senders hold a connection
    /// no longer.
    public var requestTime = Duration.seconds(10)
    /// Between two requests of a connection, and before the first; then it is closed.
    public var idleTime = Duration.seconds(120)
    /// From an answer's first byte to its last; then the connection is closed.
    public var answerTime = Duration.seconds(30)

    public init() {}
}
