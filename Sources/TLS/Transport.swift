import IO
import MQTT

/// Why a connection cannot go on.
public enum TransportError: Error, Hashable, Sendable, CustomStringConvertible {
    case io(IOError)
    case tls(TLSError)

    public var description: String {
        switch self {
        case .io(let error): error.description
        case .tls(let error): error.description
        }
    }
}

/// A connected stream socket, plain or with TLS: what the broker's connections and the client read and write.
///
/// 16 bytes; an idle one owns no buffer. Reading and writing carry the handshake on by themselves, so
/// the shell's rule is the same for both kinds: on every event read, then write what is left, then set the
/// loop's interest to `interest(hasOutput:)`.
public struct Transport: ~Copyable {
    /// The socket, for `EventLoop.add`, `modify` and `remove`.
    public let descriptor: FileDescriptor
    /// What the last read or handshake waits for beside being readable.
    private var readWantsWritable = false
    /// The last write waits for the peer, and not for room.
    private var writeWantsReadable = false
    private(set) var tls: TLSConnection?

    /// A plain connection.
    public init(plain socket: consuming FileDescriptor) {
        self.init(socket, nil)
    }

    // Swift 6.2 does not compile an initializer of this type that may throw half-way.
    private init(_ socket: consuming FileDescriptor, _ connection: consuming TLSConnection?) {
        descriptor = socket
        tls = connection
    }

    /// The server's side of a TLS connection; the handshake begins with the first read.
    public init(
        server socket: consuming FileDescriptor, context: TLSContext
    ) throws(TLSError) {
        precondition(context.isServer)
        let connection = try TLSConnection.open(context, descriptor: socket.rawValue, host: nil)
        self.init(socket, connection)
    }

    /// The client's side of a TLS connection to `host`, a name or an address, which the server's
    /// certificate must hold; call `handshake` to begin.
    public init(
        client socket: consuming FileDescriptor, context: TLSContext, host: String
    ) throws(TLSError) {
        precondition(!context.isServer)
        let connection = try TLSConnection.open(context, descriptor: socket.rawValue, host: host)
        self.init(socket, connection)
    }

    /// The server's side of TLS on a connection that was plain so far, and whose peer begins it now.
    public mutating func secure(_ context: TLSContext) throws(TLSError) {
        precondition(context.isServer && tls == nil)
        tls = try TLSConnection.open(context, descriptor: descriptor.rawValue, host: nil)
    }

    public var isSecure: Bool { tls != nil }

    /// Whether the handshake is over; a plain connection has none.
    public var isEstablished: Bool {
        switch tls {
        case .some(let tls): tls.isEstablished
        case .none: true
        }
    }

    /// Begins the handshake or goes on with it: true when it is over.
    ///
    /// A server may leave it to `read`; a client calls it once to send its first words.
    public mutating func handshake() throws(TransportError) -> Bool {
        guard tls != nil else { return true }
        let want = try tls?.handshake() ?? .nothing
        readWantsWritable = want == .writable
        return want == .nothing
    }

    /// Reads behind what `buffer` holds, about `count` bytes: TLS may bring one record (16 kB) more.
    ///
    /// `.closed` after the peer's orderly end. What was not read is reported again by the loop.
    public mutating func read(
        into buffer: inout ByteBuffer, atMost count: Int
    ) throws(TransportError) -> StreamProgress {
        guard tls != nil else {
            do throws(IOError) {
                return try descriptor.read(into: &buffer, atMost: count)
            } catch {
                throw .io(error)
            }
        }
        guard let result = try tls?.read(into: &buffer, atMost: count) else { return .wouldBlock }
        readWantsWritable = result.want == .writable
        writeWantsReadable = false
        // The goodbye was read with the last bytes: the socket's own end brings the event that tells it.
        if result.hasEnded { descriptor.shutDownReading() }
        return result.progress
    }

    /// Writes what `buffer` holds, and takes what was written out of it.
    ///
    /// `.bytes` for progress, `.wouldBlock` for none. During the handshake nothing is written yet.
    public mutating func write(
        from buffer: inout ByteBuffer
    ) throws(TransportError) -> StreamProgress {
        let written = try buffer.withSpan { (bytes) throws(TransportError) in try write(bytes) }
        buffer.consume(written)
        return written > 0 ? .bytes(written) : .wouldBlock
    }

    /// Writes `bytes` as far as that goes now, and says how many; what is left must come again first.
    public mutating func write(_ bytes: Span<UInt8>) throws(TransportError) -> Int {
        guard !bytes.isEmpty else { return 0 }
        guard tls != nil else {
            do throws(IOError) {
                return try descriptor.write(bytes) ?? 0
            } catch {
                throw .io(error)
            }
        }
        let result = try tls?.write(bytes) ?? (0, .nothing)
        writeWantsReadable = result.want == .readable
        if !isEstablished { readWantsWritable = result.want == .writable }
        return result.written
    }

    /// What the loop shall watch for: `wantsInput` false for a peer that is not read for a while,
    /// `hasOutput` when there are bytes that `write` left.
    ///
    /// TLS sometimes has to read before it can write, and the other way round; this knows it.
    public func interest(hasOutput: Bool, wantsInput: Bool = true) -> Readiness {
        var interest: Readiness = []
        if wantsInput || !isEstablished || writeWantsReadable { interest.insert(.readable) }
        if readWantsWritable || hasOutput && !writeWantsReadable && isEstablished {
            interest.insert(.writable)
        }
        return interest
    }

    /// Says goodbye, as far as that goes without waiting; the socket closes when this value goes.
    public mutating func shutDown() {
        sayGoodbye()
        descriptor.shutDownWriting()
    }

    /// TLS's own goodbye, without the socket's.
    mutating func sayGoodbye() {
        tls?.shutDown()
    }

    // MARK: What was agreed

    /// `TLSv1.3`; `nil` for a plain connection.
    public var tlsVersion: String? {
        switch tls {
        case .some(let tls): tls.version
        case .none: nil
        }
    }

    /// What ALPN agreed on; `nil` for nothing.
    public var applicationProtocol: String? {
        switch tls {
        case .some(let tls): tls.applicationProtocol
        case .none: nil
        }
    }

    /// The common name in the peer's certificate, verified; `nil` when it showed none.
    public var peerCommonName: String? { peerIdentity(.commonName) }

    /// Who the peer is, verified; `nil` when it showed nothing of the kind, or more than one.
    public func peerIdentity(_ kind: TLSIdentity) -> String? {
        switch tls {
        case .some(let tls): tls.peerIdentity(kind)
        case .none: nil
        }
    }
}
