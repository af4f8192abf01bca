import IO

/// The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677): two messages from the client, two answers.
///
/// Without channel binding. The verifier says all that is needed, so that both steps take microseconds.
public struct SCRAMExchange: Sendable {
    /// The name that MQTT and SASL have for it.
    public static let method = "SCRAM-SHA-256"
    /// Bytes of a message from the client at most.
    public static let longestMessage = 2_048

    /// Who the client says that it is.
    public let user: [UInt8]
    private let header: [UInt8]
    private let firstBare: [UInt8]
    private let clientNonce: [UInt8]
    private var serverFirst: [UInt8] = []
    private var nonce: [UInt8] = []
    private var verifier: SCRAMVerifier?

    /// Reads `n,,n=USER,r=NONCE`; `nil` where the message is none, or asks for what is not offered: channel
    /// binding, to act as another user, an extension that must be understood.
    public init?(clientFirst message: [UInt8]) {
        guard message.count <= Self.longestMessage else { return nil }
        let parts = message.split(
            separator: UInt8(ascii: ","), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, [Array("n".utf8), Array("y".utf8)].contains(Array(parts[0])),
            parts[1].isEmpty
        else { return nil }
        let fields = parts[2].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard fields.count >= 2, let name = Self.value(fields[0], "n"),
            let user = Self.unescaped(name), let nonce = Self.value(fields[1], "r"),
            !user.isEmpty, !nonce.isEmpty, nonce.allSatisfy({ 0x21...0x7E ~= $0 })
        else { return nil }
        self.user = user
        header = Array(parts[0]) + Array(",,".utf8)
        firstBare = Array(parts[2])
        clientNonce = Array(nonce)
    }

    /// `r=NONCE,s=SALT,i=ROUNDS`.
    public mutating func challenge(
        _ verifier: SCRAMVerifier, nonce random: [UInt8] = SystemRandom.bytes(18)
    ) -> [UInt8] {
        nonce = clientNonce + Array(Base64.encode(random).utf8)
        let salt = Base64.encode(verifier.salt)
        serverFirst =
            Array("r=".utf8) + nonce + Array(",s=\(salt),i=\(verifier.iterations)".utf8)
        self.verifier = verifier
        return serverFirst
    }

    /// Whether what the client's proof was held against counts in this verifier too.
    public func isChecked(by verifier: SCRAMVerifier) -> Bool {
        self.verifier?.isCovered(by: verifier) ?? false
    }

    /// Reads `c=BINDING,r=NONCE,p=PROOF`; answers `v=SIGNATURE`, or `nil` where the proof is wrong.
    public func finish(clientFinal message: [UInt8]) -> [UInt8]? {
        guard let verifier, message.count <= Self.longestMessage,
            let comma = message.lastIndex(of: UInt8(ascii: ","))
        else { return nil }
        let fields = message.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard fields.count >= 3, let binding = Self.value(fields[0], "c"),
            Array(binding) == Array(Base64.encode(header).utf8),
            let returned = Self.value(fields[1], "r"), Array(returned) == nonce,
            let encoded = Self.value(message[(comma + 1)...], "p"),
            let proof = Base64.decode(String(decoding: encoded, as: UTF8.self)),
            proof.count == Digest.sha256Length
        else { return nil }
        let separator = [UInt8(ascii: ",")]
        let signed = firstBare + separator + serverFirst + separator + Array(message[..<comma])
        let proven = [verifier.keys, verifier.former].compactMap { $0 }.first { keys in
            let signature = Digest.hmacSHA256(key: keys.stored, signed)
            let clientKey = zip(proof, signature).map { $0 ^ $1 }
            return Digest.constantTimeEqual(Digest.sha256(clientKey), keys.stored)
        }
        guard let proven else { return nil }
        let answer = Digest.hmacSHA256(key: proven.server, signed)
        return Array("v=\(Base64.encode(answer))".utf8)
    }

    private static func value(_ field: ArraySlice<UInt8>, _ name: Character) -> ArraySlice<UInt8>? {
        guard field.starts(with: "\(name)=".utf8) else { return nil }
        return field.dropFirst(2)
    }

    /// A name with `=2C` and `=3D` for comma and equals sign (RFC 5802, 5.1).
    private static func unescaped(_ name: ArraySlice<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var rest = name
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "=") else {
                result.append(byte)
                continue
            }
            switch String(decoding: rest.prefix(2), as: UTF8.self) {
            case "2C": result.append(UInt8(ascii: ","))
            case "3D": result.append(byte)
            default: return nil
            }
            rest = rest.dropFirst(2)
        }
        return result
    }
}
