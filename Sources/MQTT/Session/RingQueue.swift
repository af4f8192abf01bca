/// A first-in, first-out queue that can also take elements back at its front.
///
/// Storage doubles as needed and is given back when the queue becomes empty, so a queue that nobody
/// uses owns no memory.
public struct RingQueue<Element> {
    private var storage: [Element?] = []
    private var head = 0

    /// How many elements wait.
    public private(set) var count = 0

    public init() {}

    /// Whether nothing waits.
    public var isEmpty: Bool { count == 0 }

    /// The oldest element.
    public var first: Element? { isEmpty ? nil : storage[head] }

    /// The element `offset` places behind the oldest; traps outside `0..<count`.
    public subscript(offset: Int) -> Element {
        get {
            precondition(offset >= 0 && offset < count, "offset outside the queue")
            guard let element = storage[slot(offset)] else {
                preconditionFailure("a slot inside the queue is empty")
            }
            return element
        }
        set {
            precondition(offset >= 0 && offset < count, "offset outside the queue")
            storage[slot(offset)] = newValue
        }
    }

    /// Adds an element behind all others.
    public mutating func append(_ element: Element) {
        growIfFull()
        storage[slot(count)] = element
        count += 1
    }

    /// Puts an element before all others.
    public mutating func prepend(_ element: Element) {
        growIfFull()
        head = (head + storage.count - 1) & (storage.count - 1)
        storage[head] = element
        count += 1
    }

    /// Takes the oldest element, or `nil` when nothing waits.
    public mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = storage[head]
        storage[head] = nil
        head = slot(1)
        count -= 1
        if isEmpty && storage.count > Self.keptCapacity { removeAll() }
        return element
    }

    /// Forgets everything and gives the memory back.
    public mutating func removeAll() {
        storage = []
        head = 0
        count = 0
    }

    /// An empty queue keeps at most this many slots for the next elements.
    private static var keptCapacity: Int { 64 }

    private func slot(_ offset: Int) -> Int { (head + offset) & (storage.count - 1) }

    private mutating func growIfFull() {
        guard count == storage.count else { return }
        var larger: [Element?] = []
        larger.reserveCapacity(max(4, count * 2))
        for offset in 0..<count { larger.append(storage[slot(offset)]) }
        while larger.count < max(4, count * 2) { larger.append(nil) }
        storage = larger
        head = 0
    }
}

extension RingQueue: Sendable where Element: Sendable {}
