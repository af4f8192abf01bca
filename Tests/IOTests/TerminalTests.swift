import Testing

@testable import IO

@Suite struct SecretLineTests {
    private func typed(_ keys: String) -> SecretLine {
        var line = SecretLine()
        for key in keys.utf8 where line.state == .open { line.take(key) }
        return line
    }

    @Test(arguments: [
        ("secret\n", "secret"), ("se\u{7F}ecret\r", "secret"), ("x\u{15}y\n", "y"),
        ("gr\u{FC}\u{8}\u{FC}n\n", "gr\u{FC}n"), ("\u{7F}\u{7F}a\n", "a"), ("a\u{1B}b\n", "ab"),
        ("\n", ""), ("a\u{4}", "a"),
    ])
    func editsAsATerminalDoes(_ keys: String, _ expected: String) {
        let line = typed(keys)
        #expect(line.state == .done)
        #expect(line.bytes == Array(expected.utf8))
    }

    @Test(arguments: ["secret\u{3}", "\u{4}"])
    func givesUpOnControlCAndControlD(_ keys: String) {
        #expect(typed(keys).state == .givenUp)
    }

    @Test func holdsNoMoreThanItsLimit() {
        let line = typed(String(repeating: "x", count: 5_000) + "\n")
        #expect(line.bytes.count == SecretLine.maximumBytes)
    }
}
