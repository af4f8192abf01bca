/// Bytes on their way in or out: appended at the end, consumed at the front.
///
/// One owner, no reference counting, and no memory while it never held a byte or after
/// `releaseIfEmpty()`. This file and its extension for arrays are the only ones of the module that hold
/// unsafe code: read(2) and write(2) need addresses.
@safe
public struct ByteBuffer: ~Copyable {
    // SAFETY: allocated and freed here only; bytes in `head..<tail` are initialised, and every
    // offset used below lies within the allocation by the preconditions and by `reserve`.
    private var memory: UnsafeMutableBufferPointer<UInt8>
    private var head = 0
    private var tail = 0

    /// The smallest allocation: a cache line.
    private static let smallestCapacity = 64

    /// No bytes, and no memory.
    public init() {
        unsafe memory = UnsafeMutableBufferPointer(start: nil, count: 0)
    }

    deinit {
        // SAFETY: this value is the only owner.
        unsafe memory.deallocate()
    }

    /// Unread bytes.
    public var count: Int { tail &- head }

    /// Whether no byte is unread.
    public var isEmpty: Bool { head == tail }

    /// Bytes allocated.
    public var capacity: Int { unsafe memory.count }

    /// Makes room for `additional` more bytes, so that appending them allocates nothing.
    public mutating func reserve(_ additional: Int) {
        // SAFETY: reads the allocation's size only.
        if unsafe memory.count - tail < additional { grow(additional) }
    }

    @inline(never)
    private mutating func grow(_ additional: Int) {
        precondition(additional >= 0, "room for a negative number of bytes")
        let unread = count
        let needed = unread + additional
        if unsafe needed <= memory.count && head >= unread {
            // SAFETY: both ranges lie in the allocation; `head >= unread` keeps them apart.
            unsafe memory.baseAddress?.update(
                from: UnsafePointer(memory.baseAddress.unsafelyUnwrapped + head), count: unread)
        } else {
            let size = unsafe max(needed, 2 * memory.count, Self.smallestCapacity)
            // SAFETY: the new allocation holds at least `unread` bytes; the old one is freed once.
            let larger = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: size)
            if unread > 0 {
                _ = unsafe larger.update(
                    fromContentsOf: UnsafeBufferPointer(rebasing: memory[head..<tail]))
            }
            unsafe memory.deallocate()
            unsafe memory = larger
        }
        head = 0
        tail = unread
    }

    /// Drops the first `count` unread bytes.
    public mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= self.count, "more bytes consumed than are unread")
        head += count
        if head == tail {
            head = 0
            tail = 0
        }
    }

    /// Drops all bytes, and the memory too unless told to keep it.
    public mutating func removeAll(keepingCapacity: Bool = false) {
        head = 0
        tail = 0
        if !keepingCapacity { releaseIfEmpty() }
    }

    /// Gives the memory back when no byte is unread.
    public mutating func releaseIfEmpty() {
        guard isEmpty else { return }
        // SAFETY: freed once; the empty buffer that replaces it may be freed too.
        unsafe memory.deallocate()
        unsafe memory = UnsafeMutableBufferPointer(start: nil, count: 0)
        head = 0
        tail = 0
    }
}

// MARK: - Appending

extension ByteBuffer {
    /// Appends one byte.
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        // SAFETY: `reserve` made room.
        unsafe memory[tail] = byte
        tail &+= 1
    }

    /// Appends two bytes, the higher first.
    public mutating func append(bigEndian value: UInt16) {
        reserve(2)
        // SAFETY: `reserve` made room.
        unsafe memory[tail] = UInt8(truncatingIfNeeded: value >> 8)
        unsafe memory[tail &+ 1] = UInt8(truncatingIfNeeded: value)
        tail &+= 2
    }

    /// Appends four bytes, the highest first.
    public mutating func append(bigEndian value: UInt32) {
        reserve(4)
        // SAFETY: `reserve` made room.
        unsafe memory[tail] = UInt8(truncatingIfNeeded: value >> 24)
        unsafe memory[tail &+ 1] = UInt8(truncatingIfNeeded: value >> 16)
        unsafe memory[tail &+ 2] = UInt8(truncatingIfNeeded: value >> 8)
        unsafe memory[tail &+ 3] = UInt8(truncatingIfNeeded: value)
        tail &+= 4
    }

    /// Appends a variable byte integer in as few bytes as it takes (1.5.5 of 5.0).
    public mutating func append(variableByteInteger value: Int) {
        precondition(
            value >= 0 && value <= VariableByteInteger.maximum, "too large for four bytes")
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    /// Appends the bytes of a span.
    public mutating func append(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty else { return }
        reserve(bytes.count)
        // SAFETY: `reserve` made room for all of them; a span never overlaps a buffer that is
        // being mutated.
        unsafe bytes.withUnsafeBufferPointer { source in
            _ = unsafe UnsafeMutableBufferPointer(rebasing: memory[tail...])
                .update(fromContentsOf: source)
        }
        tail &+= bytes.count
    }

    /// Appends the bytes of an array.
    public mutating func append(_ bytes: [UInt8]) {
        append(bytes.span)
    }

    /// Overwrites two bytes that were appended before; `offset` counts from the first unread byte.
    public mutating func patch(at offset: Int, bigEndian value: UInt16) {
        patch(at: offset, UInt8(truncatingIfNeeded: value >> 8))
        patch(at: offset + 1, UInt8(truncatingIfNeeded: value))
    }

    /// Overwrites one byte that was appended before; `offset` counts from the first unread byte.
    public mutating func patch(at offset: Int, _ byte: UInt8) {
        precondition(offset >= 0 && offset < count, "a patch outside of the unread bytes")
        // SAFETY: the offset is that of an unread byte.
        unsafe memory[head &+ offset] = byte
    }
}

// MARK: - Reading, and the kernel's side

extension ByteBuffer {
    /// Calls `body` with the unread bytes.
    public func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // SAFETY: the span cannot escape the call, in which `self` is borrowed.
        let unread = unsafe UnsafeBufferPointer(rebasing: memory[head..<tail])
        return try body(unsafe Span(_unsafeElements: unread))
    }

    /// Calls `body` with the unread bytes' address, for write(2).
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // SAFETY: the address is good for the call, in which `self` is borrowed.
        let unread = unsafe UnsafeRawBufferPointer(
            UnsafeBufferPointer(rebasing: memory[head..<tail]))
        return try unsafe body(unread)
    }

    /// Lets `body` change the unread bytes in place; it says how many of them, from the first on, stay.
    public mutating func rewrite<Failure: Error>(
        _ body: (inout MutableSpan<UInt8>) throws(Failure) -> Int
    ) throws(Failure) {
        // SAFETY: the span cannot escape the call, in which `self` is held; what it covers is initialised.
        var unread = unsafe MutableSpan(
            _unsafeElements: UnsafeMutableBufferPointer(rebasing: memory[head..<tail]))
        let kept = try body(&unread)
        precondition(kept >= 0 && kept <= count, "more bytes kept than there were")
        tail = head + kept
    }

    /// Appends what `body` writes, for read(2): it is given room for at least `minimum` bytes and
    /// says how many it filled. Returns that number.
    @discardableResult
    public mutating func appendFromFill<Failure: Error>(
        atLeast minimum: Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        reserve(minimum)
        // SAFETY: the room behind `tail` is ours, and the number filled is checked.
        let room = unsafe UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: memory[tail...]))
        let filled = try unsafe body(room)
        precondition(filled >= 0 && filled <= room.count, "more bytes filled than there was room")
        tail += filled
        return filled
    }
}

// A buffer has one owner and shares no memory, so that it may move to another thread.
extension ByteBuffer: @unchecked Sendable {}
