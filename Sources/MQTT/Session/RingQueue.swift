/// A first-in, first-out queue that can also take elements back at its front.
///
/// Storage doubles as needed and is given back when the queue becomes empty, so a queue that nobody
/// uses owns no memory. Inlinable: other modules get code for their own element, many times as fast
/// as the generic one.
public struct RingQueue<Element> {
    @usableFromInline var storage: [Element?] = []
    @usableFromInline var head = 0
    @usableFromInline var length = 0

    @inlinable
    public init() {}

    /// How many elements wait.
    @inlinable
    public var count: Int { length }

    /// Whether nothing waits.
    @inlinable
    public var isEmpty: Bool { length == 0 }

    /// The oldest element.
    @inlinable
    public var first: Element? { isEmpty ? nil : storage[head] }

    /// Lends the oldest element to `body`, without a copy; `nil` when nothing waits.
    @inlinable
    public func peek<Value>(_ body: (borrowing Element) -> Value) -> Value? {
        guard !isEmpty else { return nil }
        return switch storage[head] {
        case .some(let element): body(element)
        case .none: nil
        }
    }

    /// The element `offset` places behind the oldest; traps outside `0..<count`.
    @inlinable
    public subscript(offset: Int) -> Element {
        get {
            precondition(offset >= 0 && offset < length, "offset outside the queue")
            guard let element = storage[slot(offset)] else {
                preconditionFailure("a slot inside the queue is empty")
            }
            return element
        }
        set {
            precondition(offset >= 0 && offset < length, "offset outside the queue")
            storage[slot(offset)] = newValue
        }
    }

    /// Adds an element behind all others.
    @inlinable
    public mutating func append(_ element: Element) {
        if length == storage.count { grow() }
        storage[slot(length)] = element
        length &+= 1
    }

    /// Puts an element before all others.
    @inlinable
    public mutating func prepend(_ element: Element) {
        if length == storage.count { grow() }
        head = (head &- 1) & (storage.count &- 1)
        storage[head] = element
        length &+= 1
    }

    /// Takes the oldest element, or `nil` when nothing waits.
    @inlinable
    public mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = storage[head].take()
        head = slot(1)
        length &-= 1
        if isEmpty && storage.count > Self.keptCapacity { removeAll() }
        return element
    }

    /// Forgets everything and gives the memory back.
    public mutating func removeAll() {
        storage = []
        head = 0
        length = 0
    }

    /// An empty queue keeps at most this many slots for the next elements.
    @usableFromInline static var keptCapacity: Int { 64 }

    @inlinable
    func slot(_ offset: Int) -> Int { (head &+ offset) & (storage.count &- 1) }

    @inlinable
    @inline(never)
    mutating func grow() {
        let larger = max(4, length * 2)
        var elements: [Element?] = []
        elements.reserveCapacity(larger)
        for offset in 0..<length { elements.append(storage[slot(offset)].take()) }
        while elements.count < larger { elements.append(nil) }
        storage = elements
        head = 0
    }
}

extension RingQueue: Sendable where Element: Sendable {}
