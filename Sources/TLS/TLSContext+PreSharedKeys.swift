import COpenSSL

/// Keys that both sides know already, in place of certificates: SSL_CTX_set_psk_server_callback(3), which
/// serves TLS 1.2 and 1.3.
extension TLSContext {
    /// With forward secrecy first; the last for small devices that have nothing else.
    static let preSharedKeyCiphers =
        "kECDHEPSK+CHACHA20:kDHEPSK+AESGCM:kDHEPSK+CHACHA20:kPSK+AESGCM:kPSK+CHACHA20"

    /// Lets in whoever proves to have one of `keys`.
    func use(_ keys: PreSharedKeys) {
        let box = unsafe Unmanaged.passRetained(KeyBox(keys))
        // SAFETY: the context is ours, and takes the box over: it gives it back when it is freed itself,
        // which may be after this object, since connections hold on to it.
        _ = unsafe SSL_CTX_set_ex_data(pointer, PreSharedKeyIndex.context, box.toOpaque())
        unsafe SSL_CTX_set_psk_server_callback(pointer, findKey)
        // Temporary Diffie-Hellman keys of a size that fits.
        _ = unsafe SSL_CTX_ctrl(pointer, SSL_CTRL_SET_DH_AUTO, 1, nil)
    }
}

extension TLSContext {
    /// The key that a context, which the caller holds, has for an identity.
    static func preSharedKey(of identity: [UInt8], in context: OpaquePointer) -> [UInt8]? {
        // SAFETY: the slot holds nothing, or a reference to a KeyBox as long as the context lives.
        guard let box = unsafe SSL_CTX_get_ex_data(context, PreSharedKeyIndex.context) else {
            return nil
        }
        return unsafe Unmanaged<KeyBox>.fromOpaque(box).takeUnretainedValue().keys.keys[identity]
    }
}

/// The keys of one context, held by OpenSSL's context.
private final class KeyBox: Sendable {
    let keys: PreSharedKeys

    init(_ keys: PreSharedKeys) { self.keys = keys }
}

/// The identity of one connection, held by OpenSSL's connection.
private final class IdentityBox: Sendable {
    let identity: [UInt8]
    let isKnown: Bool

    init(_ identity: [UInt8], isKnown: Bool) {
        self.identity = identity
        self.isKnown = isKnown
    }
}

/// Where the boxes lie, CRYPTO_get_ex_new_index(3).
private enum PreSharedKeyIndex {
    // SAFETY: takes numbers and functions; `giveBack` fits the one reference that each slot holds.
    static let context = unsafe CRYPTO_get_ex_new_index(
        CRYPTO_EX_INDEX_SSL_CTX, 0, nil, nil, nil, giveBack)
    static let connection = unsafe CRYPTO_get_ex_new_index(
        CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil, giveBack)
}

/// OpenSSL frees a context or a connection: its box goes.
private func giveBack(
    _ parent: UnsafeMutableRawPointer?, _ box: UnsafeMutableRawPointer?,
    _ data: UnsafeMutablePointer<CRYPTO_EX_DATA>?, _ index: Int32, _ argument: Int,
    _ pointer: UnsafeMutableRawPointer?
) {
    // SAFETY: the slot holds nothing, or one reference that was given to it.
    if let box = unsafe box { unsafe Unmanaged<AnyObject>.fromOpaque(box).release() }
}

/// The key of an identity, copied to `key`; 0 for an unknown one, which ends the handshake.
private func findKey(
    _ ssl: OpaquePointer?, _ identity: UnsafePointer<CChar>?, _ key: UnsafeMutablePointer<UInt8>?,
    _ room: UInt32
) -> UInt32 {
    // SAFETY: OpenSSL lends a connection, a text that ends with a zero, and `room` bytes; the box lives as
    // long as the connection's context.
    guard let ssl = unsafe ssl, let identity = unsafe identity, let key = unsafe key,
        let box = unsafe SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), PreSharedKeyIndex.context)
    else { return 0 }
    let keys = unsafe Unmanaged<KeyBox>.fromOpaque(box).takeUnretainedValue().keys
    let name = unsafe Array(String(cString: identity).utf8)
    let found = keys.keys[name]
    unsafe note(IdentityBox(name, isKnown: found != nil), on: ssl)
    guard let found, found.count <= Int(room) else { return 0 }
    for (offset, byte) in found.enumerated() { unsafe key[offset] = byte }
    return UInt32(found.count)
}

/// Keeps what the peer calls itself with its connection, in place of what it said before.
private func note(_ box: IdentityBox, on ssl: OpaquePointer) {
    // SAFETY: the slot takes one reference, and gives the old one back.
    let old = unsafe SSL_get_ex_data(ssl, PreSharedKeyIndex.connection)
    let new = unsafe Unmanaged.passRetained(box).toOpaque()
    _ = unsafe SSL_set_ex_data(ssl, PreSharedKeyIndex.connection, new)
    if let old = unsafe old { unsafe Unmanaged<AnyObject>.fromOpaque(old).release() }
}

extension TLSConnection {
    /// What the peer called itself, and whether there is a key for it; `nil` without such keys.
    static func preSharedKeyIdentity(
        of ssl: OpaquePointer
    ) -> (identity: [UInt8], isKnown: Bool)? {
        // SAFETY: the slot holds a reference to an IdentityBox as long as the connection lives.
        guard let box = unsafe SSL_get_ex_data(ssl, PreSharedKeyIndex.connection) else {
            return nil
        }
        let value = unsafe Unmanaged<IdentityBox>.fromOpaque(box).takeUnretainedValue()
        return (value.identity, value.isKnown)
    }
}
