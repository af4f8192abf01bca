import FleetModel
import Testing

@Suite struct JSONValueTests {
    private func text(_ value: JSONValue) -> String {
        String(decoding: value.encoded(), as: UTF8.self)
    }

    @Test func valuesAreWrittenCompactAndInOrder() {
        let value: JSONValue = .object([
            "b": .integer(1), "a": .array([.null, .bool(true), .bool(false), .string("x")]),
            "o": .object([:]), "l": .array([]),
        ])
        #expect(text(value) == #"{"b":1,"a":[null,true,false,"x"],"o":{},"l":[]}"#)
    }

    @Test(arguments: [
        ("\"", #""\"""#), ("\\", #""\\""#), ("/", #""/""#), ("\u{8}\t\n\u{c}\r", #""\b\t\n\f\r""#),
        ("\u{0}\u{1f}\u{7f}", #""\u0000\u001f\u007f""#), ("ä°C€🐟", "\"ä°C€🐟\""),
        ("</script>", "\"</script>\""),
    ])
    func stringsAreEscaped(raw: String, expected: String) {
        #expect(text(.string(raw)) == expected)
    }

    @Test(arguments: [
        0.1, 21.5, -0.0, 1e21, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1.0 / 3, 1e-7, 85,
        123456789.125,
    ])
    func numbersReadBackAsTheSame(value: Double) throws {
        let read = try #require(Double(text(.number(value))))
        #expect(read.bitPattern == value.bitPattern)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, .signalingNaN])
    func whatJSONDoesNotHaveIsNull(value: Double) {
        #expect(text(.number(value)) == "null")
    }

    @Test func integersKeepAll64Bits() {
        #expect(text(.integer(.max)) == "9223372036854775807")
        #expect(text(.integer(.min)) == "-9223372036854775808")
    }

    @Test func accessorsConvertOnlyWithoutLoss() {
        #expect(JSONValue.number(21.0).integer == 21)
        #expect(JSONValue.number(21.5).integer == nil)
        #expect(JSONValue.number(1e300).integer == nil)
        #expect(JSONValue.integer(2).number == 2)
        #expect(JSONValue.string("2").number == nil)
        #expect(JSONValue.null["x"] == nil)
    }

    @Test func objectsAreEditedByName() {
        var object: JSONObject = ["a": .integer(1), "b": .integer(2)]
        object["a"] = .integer(3)
        object["b"] = nil
        object["c"] = .null
        #expect(object.members.map(\.name) == ["a", "c"])
        #expect(object["a"] == .integer(3))
    }
}
