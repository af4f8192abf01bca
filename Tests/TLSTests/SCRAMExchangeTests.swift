import IO
import Testing

@testable import TLS

@Suite struct SCRAMExchangeTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    private func text(_ bytes: [UInt8]?) -> String? {
        bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The client's side, from a password.
    private func final(
        _ password: String, _ serverFirst: String, _ firstBare: String, header: String = "n,,"
    ) -> [UInt8] {
        var fields: [Character: String] = [:]
        for field in serverFirst.split(separator: ",") {
            if let name = field.first { fields[name] = String(field.dropFirst(2)) }
        }
        let salted = Digest.pbkdf2SHA256(
            password: bytes(password), salt: Base64.decode(fields["s"] ?? "") ?? [],
            iterations: Int(fields["i"] ?? "") ?? 1)
        let clientKey = Digest.hmacSHA256(key: salted, bytes("Client Key"))
        let withoutProof = "c=\(Base64.encode(bytes(header))),r=\(fields["r"] ?? "")"
        let signature = Digest.hmacSHA256(
            key: Digest.sha256(clientKey), bytes("\(firstBare),\(serverFirst),\(withoutProof)"))
        let proof = zip(clientKey, signature).map { $0 ^ $1 }
        return bytes("\(withoutProof),p=\(Base64.encode(proof))")
    }

    @Test func `the example of RFC 7677`() throws {
        var exchange = try #require(
            SCRAMExchange(clientFirst: bytes("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")))
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        let verifier = SCRAMVerifier(password: bytes("pencil"), iterations: 4_096, salt: salt)
        // Its server nonce is no base 64 of ours, so that the proof is reckoned anew.
        let first = try #require(text(exchange.challenge(verifier)))
        #expect(first.hasPrefix("r=rOprNGfwEbeRWgbNEkqO"))
        #expect(first.hasSuffix(",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
        let answer = final("pencil", first, "n=user,r=rOprNGfwEbeRWgbNEkqO")
        let signature = try #require(text(exchange.finish(clientFinal: answer)))
        #expect(signature.hasPrefix("v="))
        #expect(exchange.user == bytes("user"))
    }

    @Test func `the password before is proven as well, while it counts`() throws {
        let old = SCRAMVerifier(password: bytes("old"), iterations: 4_096)
        let new = SCRAMVerifier(password: bytes("new"), iterations: 4_096, salt: old.salt)
        let both = try #require(new.keeping(old))
        for (password, isRight) in [("old", true), ("new", true), ("other", false)] {
            var exchange = try #require(SCRAMExchange(clientFirst: bytes("n,,n=u,r=abc")))
            let first = try #require(text(exchange.challenge(both)))
            let answer = exchange.finish(clientFinal: final(password, first, "n=u,r=abc"))
            #expect((answer != nil) == isRight)
            #expect(exchange.isChecked(by: both))
            #expect(!exchange.isChecked(by: new))
        }
    }

    @Test func `a wrong password, nonce, binding or proof is refused`() throws {
        let verifier = SCRAMVerifier(password: bytes("right"), iterations: 4_096)
        var exchange = try #require(SCRAMExchange(clientFirst: bytes("y,,n=u,r=abc")))
        let first = try #require(text(exchange.challenge(verifier)))
        let right = final("right", first, "n=u,r=abc", header: "y,,")
        #expect(exchange.finish(clientFinal: right) != nil)
        #expect(
            exchange.finish(clientFinal: final("wrong", first, "n=u,r=abc", header: "y,,")) == nil)
        #expect(exchange.finish(clientFinal: final("right", first, "n=u,r=abc")) == nil)
        #expect(
            exchange.finish(clientFinal: final("right", first, "n=v,r=abc", header: "y,,")) == nil)
        for broken in ["", ",", "p=", "c=eSws,r=abc,p=AAAA", "c=eSws,p=x", "v=x,r=y,p=z"] {
            #expect(exchange.finish(clientFinal: bytes(broken)) == nil)
        }
        for index in right.indices {
            var other = right
            other[index] ^= 1
            #expect(exchange.finish(clientFinal: other) == nil)
        }
    }

    @Test(arguments: [
        "", "n", "n,,", "n,,n=u", "n,,n=,r=a", "n,,n=u,r=", "p=tls-unique,,n=u,r=a",
        "n,a=other,n=u,r=a", "n,,m=x,n=u,r=a", "n,,n=u=,r=a", "n,,n=u=2D,r=a", "n,,r=a,n=u",
        "n,,n=u,r=a\u{1}",
    ])
    func `a first message that is none is refused`(message: String) {
        #expect(SCRAMExchange(clientFirst: bytes(message)) == nil)
    }

    @Test func `names may hold commas and equals signs, extensions are let pass`() {
        #expect(
            SCRAMExchange(clientFirst: bytes("n,,n=a=2Cb=3Dc,r=x,e=1"))?.user == bytes("a,b=c"))
        #expect(
            SCRAMExchange(clientFirst: bytes("n,,n=u,r=") + [UInt8](repeating: 65, count: 3_000))
                == nil)
    }
}
