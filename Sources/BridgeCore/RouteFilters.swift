import MQTT

/// The topic filters of both routes, checked against each other.
public struct RouteFilters: Sendable, Equatable {
    public let up: [TopicFilter]
    public let down: [TopicFilter]

    /// Two filters that ask for a topic in common: in circles, for one up and one down; twice, for
    /// two of the same route.
    public struct Overlap: Error, Equatable, Sendable {
        public var first: TopicFilter
        public var second: TopicFilter
        public var route: Route?
    }

    public init(up: [TopicFilter], down: [TopicFilter]) throws(Overlap) {
        for first in up {
            for second in down where first.intersects(second) {
                throw Overlap(first: first, second: second, route: nil)
            }
        }
        self.up = up
        self.down = down
    }

    /// Pairs of one route that overlap: a broker may deliver a message once for each of them.
    public var overlapsWithinRoutes: [Overlap] {
        var found: [Overlap] = []
        for (route, filters) in [(Route.up, up), (Route.down, down)] {
            for (index, first) in filters.enumerated() {
                for second in filters[(index + 1)...] where first.intersects(second) {
                    found.append(Overlap(first: first, second: second, route: route))
                }
            }
        }
        return found
    }
}
