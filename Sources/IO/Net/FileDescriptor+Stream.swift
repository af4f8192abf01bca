import MQTT

extension FileDescriptor {
    /// Reads from a stream, recv(2), behind what `buffer` holds; at most `count` bytes.
    public func read(
        into buffer: inout ByteBuffer, atMost count: Int
    ) throws(IOError) -> StreamProgress {
        precondition(count > 0)
        guard let got = try Syscalls.receive(rawValue, into: &buffer, atMost: count) else {
            return .wouldBlock
        }
        return got == 0 ? .closed : .bytes(got)
    }

    /// Writes what `buffer` holds to a stream, send(2), and takes what was written out of it.
    ///
    /// `.closed` never; an empty buffer is `.wouldBlock`.
    public func write(from buffer: inout ByteBuffer) throws(IOError) -> StreamProgress {
        let number = rawValue
        let sent = try buffer.withSpan { (bytes) throws(IOError) in
            try Syscalls.send(number, bytes)
        }
        guard let sent, sent > 0 else { return .wouldBlock }
        buffer.consume(sent)
        return .bytes(sent)
    }
}
