import IO
import TLS
import Testing

private func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}

private func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct CryptoTests {
    // FIPS 180-4's examples.
    @Test(arguments: [
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ])
    func sha256HashesTheStandardsExamples(message: String, hash: String) {
        #expect(hex(Digest.sha256(ascii(message))) == hash)
    }

    // RFC 4231, cases 1 and 2.
    @Test func hmacAgreesWithRFC4231() {
        #expect(
            hex(Digest.hmacSHA256(key: [UInt8](repeating: 0x0b, count: 20), ascii("Hi There")))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            hex(Digest.hmacSHA256(key: ascii("Jefe"), ascii("what do ya want for nothing?")))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    // RFC 7914, 11: PBKDF2-HMAC-SHA-256, the first 32 of 64 bytes.
    @Test func pbkdf2AgreesWithRFC7914() {
        #expect(
            hex(Digest.pbkdf2SHA256(password: ascii("passwd"), salt: ascii("salt"), iterations: 1))
                == "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc")
    }

    @Test func anEmptyPasswordHasAKeyToo() {
        let key = Digest.pbkdf2SHA256(password: [], salt: ascii("salt"), iterations: 2)
        #expect(key.count == 32)
        #expect(key != Digest.pbkdf2SHA256(password: [1], salt: ascii("salt"), iterations: 2))
    }

    @Test func constantTimeEqualComparesLengthAndBytes() {
        #expect(Digest.constantTimeEqual([1, 2, 3], [1, 2, 3]))
        #expect(Digest.constantTimeEqual([], []))
        #expect(!Digest.constantTimeEqual([1, 2, 3], [1, 2, 4]))
        #expect(!Digest.constantTimeEqual([1, 2, 3], [1, 2]))
    }

    // RFC 4648, 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func base64AgreesWithRFC4648(plain: String, encoded: String) {
        #expect(Base64.encode(ascii(plain)) == encoded)
        #expect(Base64.decode(encoded) == ascii(plain))
    }

    @Test func base64RoundTripsEveryByte() {
        let all = (0...255).map { UInt8($0) }
        #expect(Base64.decode(Base64.encode(all)) == all)
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9 ", "Zm9v\n", "Zm8_",
    ])
    func base64RefusesEveryOtherForm(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    // RFC 7677, 3: user "user", password "pencil"; the proof and the server's signature of the exchange
    // there follow from StoredKey and ServerKey.
    @Test func aVerifierProvesTheExchangeOfRFC7677() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        let verifier = SCRAMVerifier(password: ascii("pencil"), iterations: 4_096, salt: salt)
        let message = ascii(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,"
                + "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                + "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
                + "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
        let signature = Digest.hmacSHA256(key: verifier.keys.server, message)
        #expect(Base64.encode(signature) == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        let proof = try #require(Base64.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
        let mask = Digest.hmacSHA256(key: verifier.keys.stored, message)
        let clientKey = zip(proof, mask).map { $0 ^ $1 }
        #expect(Digest.sha256(clientKey) == verifier.keys.stored)
    }

    @Test func aVerifierAcceptsItsPasswordOnlyAndSurvivesItsText() throws {
        let made = SCRAMVerifier(password: ascii("secret"), iterations: 4_096)
        let read = try SCRAMVerifier(made.description)
        #expect(read == made)
        #expect(read.accepts(password: ascii("secret")))
        #expect(!read.accepts(password: ascii("Secret")))
        #expect(!read.accepts(password: []))
        #expect(!made.description.contains("secret"))
    }

    @Test func `a password that is kept counts beside the new one, of the same salt and rounds`()
        throws
    {
        let old = SCRAMVerifier(password: ascii("old"), iterations: 4_096)
        let new = SCRAMVerifier(password: ascii("new"), iterations: 4_096, salt: old.salt)
        let both = try #require(new.keeping(old))
        #expect(both.accepts(password: ascii("new")))
        #expect(both.accepts(password: ascii("old")))
        #expect(!both.accepts(password: ascii("other")))
        #expect(both.description == new.description)
        #expect(old.isCovered(by: both) && new.isCovered(by: both) && both.isCovered(by: both))
        #expect(!both.isCovered(by: new) && !both.isCovered(by: old) && !old.isCovered(by: new))
        #expect(both.keeping(old) == nil)
        #expect(new.keeping(new) == nil)
        #expect(new.keeping(SCRAMVerifier(password: ascii("old"), iterations: 4_096)) == nil)
        #expect(
            new.keeping(SCRAMVerifier(password: ascii("old"), iterations: 5_000, salt: old.salt))
                == nil)
    }

    @Test func twoVerifiersOfOnePasswordDiffer() {
        let one = SCRAMVerifier(password: ascii("x"), iterations: 4_096)
        let other = SCRAMVerifier(password: ascii("x"), iterations: 4_096)
        #expect(one.salt != other.salt)
        #expect(one.keys != other.keys)
    }

    @Test func malformedVerifiersAreErrorsThatSayWhatIsWrong() {
        let key = Base64.encode([UInt8](repeating: 1, count: 32))
        let cases: [(String, SCRAMError)] = [
            ("", .shape), ("secret", .shape), ("SCRAM-SHA-256$4096:AAAA", .shape),
            ("SCRAM-SHA-256$4096$\(key):\(key)", .shape),
            ("SCRAM-SHA-1$4096:AAAA$\(key):\(key)", .mechanism),
            ("SCRAM-SHA-256$4095:AAAA$\(key):\(key)", .iterations),
            ("SCRAM-SHA-256$99999999999999999999:AAAA$\(key):\(key)", .iterations),
            ("SCRAM-SHA-256$4096:$\(key):\(key)", .salt),
            ("SCRAM-SHA-256$4096:AAA$\(key):\(key)", .salt),
            ("SCRAM-SHA-256$4096:AAAA$\(key):AAAA", .keys),
            ("SCRAM-SHA-256$4096:AAAA$\(key):\(key):", .shape),
        ]
        for (text, expected) in cases {
            #expect(throws: expected, "\(text)") { try SCRAMVerifier(text) }
        }
    }
}
