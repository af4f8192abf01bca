import FleetModel
import JSON
import Testing

private func parse(_ text: String, _ limits: JSONLimits = JSONLimits()) throws -> JSONValue {
    try JSON.parse(Array(text.utf8), limits: limits)
}

private func failure(_ bytes: [UInt8], _ limits: JSONLimits = JSONLimits()) -> JSONError? {
    do {
        _ = try JSON.parse(bytes, limits: limits)
        return nil
    } catch {
        return error
    }
}

@Suite struct ParsingJSON {
    @Test func everyKindOfValueIsRead() throws {
        let value = try parse(
            #" {"z": null, "a": [true, false, 1, -2.5, 1e3], "s": "é\n\u00e9😀", "": {}} "#)
        #expect(
            value
                == .object([
                    "z": .null,
                    "a": .array([
                        .bool(true), .bool(false), .integer(1), .number(-2.5), .number(1000),
                    ]),
                    "s": .string("é\né😀"),
                    "": .object([:]),
                ]))
    }

    @Test func aValueAloneIsJSON() throws {
        #expect(try parse("1") == .integer(1))
        #expect(try parse("\"x\"") == .string("x"))
        #expect(try parse(" null ") == .null)
    }

    @Test func integersOf64BitsKeepEveryDigit() throws {
        #expect(try parse("[9223372036854775807]") == .array([.integer(.max)]))
        #expect(try parse("[-9223372036854775808]") == .array([.integer(.min)]))
        #expect(try parse("[9007199254740993]") == .array([.integer(9_007_199_254_740_993)]))
    }

    @Test func membersKeepTheirOrder() throws {
        let names = (0..<100).map { "k\(($0 * 37) % 100)" }
        let text = "{" + names.map { "\"\($0)\":1" }.joined(separator: ",") + "}"
        #expect(try parse(text).object?.members.map(\.name) == names)
    }

    @Test func whatIsEncodedReadsBack() throws {
        let value = JSONValue.object([
            "text": .string("\u{1}\"\\\u{7F}\n /é😀"), "n": .integer(.min), "x": .number(0.1),
            "list": .array([.null, .bool(false), .object([:]), .array([])]),
        ])
        #expect(try JSON.parse(value.encoded()) == value)
    }

    @Test(arguments: [
        ("", JSONError.Reason.endsTooEarly), ("[1", .endsTooEarly), ("[1] x", .textAfterEnd),
        ("{}{}", .textAfterEnd), ("[1,]", .syntax), ("{'a':1}", .syntax), ("[01]", .syntax),
        ("[NaN]", .syntax), ("[Infinity]", .syntax), ("[+1]", .syntax), ("nul", .syntax),
        ("[1.]", .syntax), ("// x\n1", .syntax), (#"{"a":1,"a":2}"#, .duplicateKey),
        (#"{"a":1,"\u0061":2}"#, .duplicateKey), ("[9223372036854775808]", .numberTooLarge),
        ("[-9223372036854775809]", .numberTooLarge), ("[1e400]", .numberTooLarge),
        (#"["\u0000"]"#, .holdsNull), (#"{"\u0000":1}"#, .holdsNull), (#"["\ud800"]"#, .syntax),
        ("[\"a\nb\"]", .syntax), ("[\"\u{1}\"]", .syntax), ("\u{FEFF}1", .syntax),
    ])
    func whatIsNotStrictlyJSONIsRefused(_ text: String, _ reason: JSONError.Reason) {
        #expect(failure(Array(text.utf8))?.reason == reason, "\(text)")
    }

    @Test func illFormedUTF8IsRefusedWithItsPlace() {
        for bad: [UInt8] in [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3],
        ] {
            let error = failure(Array("[1,\n\"x".utf8) + bad + Array("\"]".utf8))
            #expect(error?.reason == .illFormedUTF8)
            #expect(error?.line == 2)
        }
        #expect(failure([0x22, 0, 0x22])?.reason != nil)
    }

    @Test func theLimitsHold() {
        let limits = JSONLimits(maximumBytes: 64, maximumDepth: 3)
        #expect(failure(Array("[[[1]]]".utf8), limits) == nil)
        #expect(failure(Array(#"["[[[[", "\"[[[["]"#.utf8), limits) == nil)
        let deep = failure(Array("[\n [{\"a\":[1]}]]".utf8), limits)
        #expect(deep?.reason == .tooDeep(maximumDepth: 3))
        #expect(deep?.line == 2)
        #expect(deep?.column == 8)
        let large = failure([UInt8](repeating: 0x20, count: 65), limits)
        #expect(large?.reason == .tooLarge(maximumBytes: 64))
        #expect(
            failure([UInt8](repeating: UInt8(ascii: "["), count: 1_000_000))?.reason
                == .tooDeep(maximumDepth: 32))
    }

    @Test func anErrorNamesThePlaceAndNoneOfTheText() {
        let error = failure(Array("{\"password\":\n  hunter2}".utf8))
        #expect(error?.description == "line 2, column 8: not JSON")
    }
}
