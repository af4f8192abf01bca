import COpenSSL

/// Hashes and what is built on them, by libcrypto.
public enum Digest {
    /// Bytes of a SHA-256 hash.
    public static let sha256Length = 32
    /// Bytes of a SHA-512 hash.
    public static let sha512Length = 64

    /// SHA-256 (FIPS 180-4).
    public static func sha256(_ message: [UInt8]) -> [UInt8] {
        var hash = [UInt8](repeating: 0, count: sha256Length)
        // SAFETY: reads the message within the call, and writes 32 bytes, which the hash has.
        let done = unsafe EVP_Digest(
            message, message.count, &hash, nil, EVP_sha256(), nil)
        precondition(done == 1, "SHA-256 fails only without memory")
        return hash
    }

    /// SHA-512 (FIPS 180-4).
    public static func sha512(_ message: [UInt8]) -> [UInt8] {
        var hash = [UInt8](repeating: 0, count: sha512Length)
        // SAFETY: reads the message within the call, and writes 64 bytes, which the hash has.
        let done = unsafe EVP_Digest(
            message, message.count, &hash, nil, EVP_sha512(), nil)
        precondition(done == 1, "SHA-512 fails only without memory")
        return hash
    }

    /// HMAC with SHA-256 (RFC 2104).
    public static func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: sha256Length)
        // SAFETY: reads key and message within the call, and writes 32 bytes, which the code has.
        let done = unsafe HMAC(
            EVP_sha256(), key, Int32(key.count), message, message.count, &code, nil)
        precondition(unsafe done != nil, "HMAC fails only without memory")
        return code
    }

    /// 32 bytes from a password, PBKDF2 with HMAC-SHA-256 (RFC 8018, 5.2). Takes long, which is its
    /// purpose: not for a loop's thread.
    public static func pbkdf2SHA256(
        password: [UInt8], salt: [UInt8], iterations: Int
    ) -> [UInt8] {
        // SAFETY: the function is a constant of libcrypto's.
        unsafe pbkdf2(EVP_sha256(), sha256Length, password, salt, iterations)
    }

    /// 64 bytes from a password, PBKDF2 with HMAC-SHA-512 (RFC 8018, 5.2). Not for a loop's thread.
    public static func pbkdf2SHA512(
        password: [UInt8], salt: [UInt8], iterations: Int
    ) -> [UInt8] {
        // SAFETY: the function is a constant of libcrypto's.
        unsafe pbkdf2(EVP_sha512(), sha512Length, password, salt, iterations)
    }

    private static func pbkdf2(
        _ function: OpaquePointer?, _ length: Int, _ password: [UInt8], _ salt: [UInt8],
        _ iterations: Int
    ) -> [UInt8] {
        precondition(iterations > 0)
        var key = [UInt8](repeating: 0, count: length)
        // With a zero behind it, an empty password has an address too.
        let bytes = password.map { CChar(truncatingIfNeeded: $0) } + [0]
        // SAFETY: reads as many bytes as it is told of password and salt, and writes `length`.
        let done = unsafe PKCS5_PBKDF2_HMAC(
            bytes, Int32(password.count), salt, Int32(salt.count), Int32(clamping: iterations),
            function, Int32(length), &key)
        precondition(done == 1, "PBKDF2 fails only without memory")
        return key
    }

    /// Whether both are equal, in a time that does not tell where they differ.
    public static func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        // SAFETY: both have `count` bytes.
        return unsafe CRYPTO_memcmp(left, right, left.count) == 0
    }
}
