/// The last retained value of each topic.
///
/// A look-up by wildcard reports in the order of the levels' bytes, a parent before what is below
/// it, so that two runs agree. A topic costs its value, and a node of 28 bytes and its slot for
/// each level that it does not share with others.
public struct RetainedTree<Value> {
    @usableFromInline
    struct Entry {
        @usableFromInline var value: Value
        @usableFromInline var bytes: Int

        @inlinable
        init(value: Value, bytes: Int) {
            self.value = value
            self.bytes = bytes
        }
    }

    @usableFromInline var index: TopicIndex
    @usableFromInline var entries: [Entry?] = []
    @usableFromInline var freeEntries: [UInt32] = []

    /// Bytes of all topics and of all values, as `set` was told.
    public var byteCount: Int { storedBytes }
    @usableFromInline var storedBytes = 0

    /// Topics that have a value.
    @inlinable
    public var count: Int { entries.count - freeEntries.count }

    /// An empty tree.
    ///
    /// - Parameter seed: a secret number, so that nobody can choose topics that collide.
    public init(seed: UInt64) {
        index = TopicIndex(seed: seed)
    }

    /// Nodes in use.
    public var nodeCount: Int { index.nodeCount }

    /// Keeps `value` for `topic`, a valid topic name, and returns the one that it replaces.
    ///
    /// - Parameter bytes: what the value counts for in `byteCount`.
    @inlinable
    @discardableResult
    public mutating func set(_ topic: Span<UInt8>, _ value: Value, bytes: Int) -> Value? {
        let entry = Entry(value: value, bytes: bytes)
        let free = freeEntries.last ?? UInt32(entries.count)
        let known = index.findOrInsert(topic, place: free)
        if known != TopicIndex.none, let old = entries[Int(known)] {
            storedBytes += bytes - old.bytes
            entries[Int(known)] = entry
            return old.value
        }
        storedBytes += bytes + topic.count
        if freeEntries.popLast() != nil {
            entries[Int(free)] = entry
        } else {
            entries.append(entry)
        }
        return nil
    }

    /// Forgets the value of `topic`, and returns it.
    @inlinable
    @discardableResult
    public mutating func remove(_ topic: Span<UInt8>) -> Value? {
        let known = index.remove(topic)
        guard known != TopicIndex.none, let old = entries[Int(known)] else { return nil }
        entries[Int(known)] = nil
        freeEntries.append(known)
        storedBytes -= topic.count + old.bytes
        if count == 0 {
            entries = []
            freeEntries = []
        }
        return old.value
    }

    /// The value of `topic`.
    @inlinable
    public func value(for topic: Span<UInt8>) -> Value? {
        let known = index.find(topic)
        return known == TopicIndex.none ? nil : entries[Int(known)]?.value
    }

    /// Calls `body` with each topic that `filter` asks for and its value, in the order of the
    /// levels' bytes, until it returns false.
    ///
    /// A `$share/{name}/` plays no part. Topics that begin with `$` are missed by a filter that
    /// begins with a wildcard [MQTT-4.7.2-1]. Nothing changes that can be seen; the tree may put
    /// topics in order.
    @inlinable
    public mutating func forEach(
        matching filter: TopicFilter, _ body: (_ topic: Span<UInt8>, _ value: Value) -> Bool
    ) {
        let entries = entries
        index.forEach(matching: filter) { topic, place in
            guard let entry = entries[Int(place)] else { return true }
            return body(topic, entry.value)
        }
    }

    /// Calls `body` with every value, in no order that means anything.
    @inlinable
    public func forEachValue(_ body: (Value) -> Void) {
        for entry in entries {
            if let entry { body(entry.value) }
        }
    }

    /// Calls `body` with the values of at most `limit` places, from `start` on; returns the place to
    /// go on from, `nil` at the end. What changes between two calls may be missed or met twice.
    @inlinable
    public func forEachValue(from start: Int, limit: Int, _ body: (Value) -> Void) -> Int? {
        let stop = min(entries.count, start + limit)
        for place in start..<max(start, stop) {
            if let entry = entries[place] { body(entry.value) }
        }
        return stop < entries.count ? stop : nil
    }

    /// One above the highest place of a value: `0..<placeCount` visits each, for a walk in pieces.
    @inlinable
    public var placeCount: Int { entries.count }

    /// The value at a place; `nil` where there is none now.
    @inlinable
    public func value(at place: Int) -> Value? {
        place < entries.count ? entries[place]?.value : nil
    }

    /// Traps unless the tree is whole: every topic has a value and every value a topic, every count
    /// is right, children said to be in order are, and no free place is lost.
    public func checkInvariants() {
        let places = index.checkInvariants()
        for (place, entry) in entries.enumerated() {
            precondition(places.contains(UInt32(place)) == (entry != nil), "a value is lost")
        }
        precondition(places.count == count, "topics are miscounted")
        precondition(count > 0 || storedBytes == 0, "bytes are miscounted")
    }
}

extension RetainedTree: Sendable where Value: Sendable {}
extension RetainedTree.Entry: Sendable where Value: Sendable {}
