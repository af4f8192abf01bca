/// What a WebSocket listener asks of those who knock.
public struct WebSocketRules: Hashable, Sendable {
    /// The only path that is served, such as `/mqtt`; `nil`: every one.
    public var path: String?
    /// The pages (scheme, host and port, as browsers send them) that may connect; empty: every page.
    /// Programs that are no browsers send no Origin, and are let in.
    public var origins: [String]

    public init(path: String? = nil, origins: [String] = []) {
        self.path = path
        self.origins = origins
    }
}
