/// How much a topic, a filter and one client's set of filters may ask of a broker.
///
/// The protocol allows 65,535 levels in one topic and any number of filters. A filter with a
/// wildcard on every other level makes a match visit up to twice the nodes at each level, so both
/// numbers are bounded: what one publish can cost is then known.
public struct TopicLimits: Hashable, Sendable {
    /// Levels in a topic name, or in a filter behind its `$share/{name}/`. A longer one is refused.
    /// A `SubscriptionTree` takes 64 at most.
    public var maximumLevels: Int

    /// Bytes in a topic name or a filter, at most 65,535 [MQTT-4.7.3-3].
    public var maximumLength: Int

    /// Filters with `+` or `#` that one subscriber may hold. The next one is refused; replacing one
    /// that is held is always allowed.
    public var maximumWildcardFilters: Int

    public init(
        maximumLevels: Int = 16, maximumLength: Int = 65_535, maximumWildcardFilters: Int = 1_000
    ) {
        self.maximumLevels = maximumLevels
        self.maximumLength = maximumLength
        self.maximumWildcardFilters = maximumWildcardFilters
    }
}
