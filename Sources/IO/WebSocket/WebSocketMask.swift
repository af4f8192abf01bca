import MQTT

/// The masking key of a frame (RFC 6455, 5.3), turned so that its next byte is the lowest.
struct WebSocketMask: Equatable {
    private var key: UInt32 = 0

    /// Takes the next of the four bytes in which the key arrives.
    mutating func push(_ byte: UInt8) {
        key = key >> 8 | UInt32(byte) << 24
    }

    /// Unmasks one byte.
    mutating func apply(_ byte: UInt8) -> UInt8 {
        let plain = byte ^ UInt8(truncatingIfNeeded: key)
        turn(1)
        return plain
    }

    /// Unmasks `count` bytes from `source` on and puts them to `target`, which is not behind `source`.
    ///
    /// Eight at a time: a frame's header is all that lies between the two, so a word is read before the
    /// bytes of the next are written over.
    mutating func move(
        _ count: Int, from source: Int, to target: Int, in bytes: inout MutableSpan<UInt8>
    ) {
        precondition(target >= 0 && target <= source && count <= bytes.count - source)
        let key = key
        // SAFETY: both ranges lie within the span, as just checked, and the address stays in the call.
        unsafe bytes.withUnsafeMutableBytes { memory in
            let word = UInt64(key) | UInt64(key) << 32
            var done = 0
            while done &+ 8 <= count {
                let masked = unsafe memory.loadUnaligned(
                    fromByteOffset: source &+ done, as: UInt64.self)
                unsafe memory.storeBytes(
                    of: (UInt64(littleEndian: masked) ^ word).littleEndian,
                    toByteOffset: target &+ done, as: UInt64.self)
                done &+= 8
            }
            while done < count {
                let byte = UInt8(truncatingIfNeeded: key >> UInt32(8 &* (done & 3)))
                unsafe memory[target &+ done] = memory[source &+ done] ^ byte
                done &+= 1
            }
        }
        turn(count)
    }

    /// Makes the key's byte for the byte behind `count` others its lowest.
    private mutating func turn(_ count: Int) {
        let bits = UInt32(8 * (count & 3))
        if bits > 0 { key = key >> bits | key << (32 - bits) }
    }
}
