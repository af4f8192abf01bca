extension TopicFilter {
    /// Whether some topic name is asked for by both filters. Share names play no part in it.
    ///
    /// A bridge whose filters of one direction intersect those of the other would send messages
    /// round in a circle.
    public func intersects(_ other: TopicFilter) -> Bool {
        let left = levels
        let right = other.levels
        // [MQTT-4.7.2-1]: a leading wildcard asks for no topic that begins with '$'.
        if left[0].isWildcard, right[0].first == TopicSyntax.dollar { return false }
        if right[0].isWildcard, left[0].first == TopicSyntax.dollar { return false }
        for index in 0..<min(left.count, right.count) {
            if left[index].isMultiLevel || right[index].isMultiLevel { return true }
            if left[index].isWildcard || right[index].isWildcard { continue }
            guard left[index].elementsEqual(right[index]) else { return false }
        }
        if left.count == right.count { return true }
        // What is left of the longer one may be a '#' alone, which asks for its parent as well;
        // but the parent of "/#" is no topic name: it would be empty [MQTT-4.7.3-1].
        let longer = left.count > right.count ? left : right
        let shared = min(left.count, right.count)
        return longer.count == shared + 1 && longer[shared].isMultiLevel
            && !(shared == 1 && longer[0].isEmpty)
    }

    /// Whether every topic name that `other` asks for is asked for by this filter too. Share names play
    /// no part in it.
    ///
    /// It errs on the side of no: that "+/#" asks for all that "#" does is not seen.
    public func covers(_ other: TopicFilter) -> Bool {
        let outer = levels
        let inner = other.levels
        // [MQTT-4.7.2-1]
        if outer[0].isWildcard, inner[0].first == TopicSyntax.dollar { return false }
        for index in outer.indices {
            // Also behind the last level of `other`: "sport/#" asks for "sport".
            if outer[index].isMultiLevel { return true }
            guard index < inner.count, !inner[index].isMultiLevel else { return false }
            if outer[index].isWildcard { continue }
            guard outer[index].elementsEqual(inner[index]) else { return false }
        }
        return outer.count == inner.count
    }

    private var levels: [ArraySlice<UInt8>] {
        bytes[matchStart...].split(
            separator: TopicSyntax.separator, omittingEmptySubsequences: false)
    }
}

extension ArraySlice<UInt8> {
    fileprivate var isMultiLevel: Bool { count == 1 && first == TopicSyntax.multiLevel }
    fileprivate var isWildcard: Bool {
        isMultiLevel || (count == 1 && first == TopicSyntax.singleLevel)
    }
}
