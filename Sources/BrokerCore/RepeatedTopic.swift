import MQTT

/// The topic that was looked up last: a client often publishes to one topic several times in a row, and what
/// was found for it holds until something changes.
struct RepeatedTopic {
    private var bytes: [UInt8] = []
    private var changes = UInt64.max

    /// Whether `topic` is the same as at the call before, and nothing has changed since.
    ///
    /// - Parameter changes: a count of what changed where topics are looked up.
    @inline(__always)
    mutating func isRepeated(_ topic: Span<UInt8>, at changes: UInt64) -> Bool {
        if changes == self.changes && bytes.isEqual(to: topic) { return true }
        remember(topic, changes)
        return false
    }

    /// The next topic is a new one: something else has been looked up.
    mutating func forget() { changes = .max }

    @inline(never)
    private mutating func remember(_ topic: Span<UInt8>, _ changes: UInt64) {
        self.changes = changes
        bytes.removeAll(keepingCapacity: true)
        bytes.append(contentsOf: topic)
    }
}
