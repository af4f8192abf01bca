import FleetModel
import IO
import JSON
import Testing

@testable import MQTT
@testable import fleet

/// Keeps what is printed.
private final class Printed {
    var output = ""
    var errors = ""

    func to(isTerminal: Bool, colours: Bool = false) -> Output {
        Output(isTerminal: isTerminal, colours: colours) { (bytes, stream) throws(IOError) in
            let text = String(decoding: bytes, as: UTF8.self)
            if stream == .output { self.output += text } else { self.errors += text }
        }
    }
}

@Suite struct RenderingTests {
    private func view(version: String = "0.1.0", why: String? = nil) -> FleetView {
        var view = FleetView()
        func take(_ topic: String, _ payload: String) {
            view.take(topic: Array("fleet/v1/farm/\(topic)".utf8), payload: Array(payload.utf8))
        }
        let status = Status(
            state: why == nil ? .online : .offline,
            since: Timestamp("2026-11-21T06:12:00.000Z"), version: version, why: why)
        view.take(topic: Array("fleet/v1/farm/barn-1/status".utf8), payload: status.encode())
        take(
            "barn-1/health",
            #"{"t":"2026-11-21T07:00:00.000Z","uptime":90061,"load":[0.123],"temperature":21.46,"#
                + #""memory":{"total":1000,"available":630},"clock_sync":true}"#)
        take("barn-1/state/2", #"{"cellar":{"t":"2026-11-21T07:00:00.000Z","v":9.5}}"#)
        take("barn-1/state", #"{"attic":{"t":"2026-11-21T07:00:00.000Z","v":21.062}}"#)
        take("gateway/link/cloud", #"{"state":"online","since":"2026-11-21T06:00:00.000Z"}"#)
        take("gateway/service/bridge", #"{"state":"online","counters":{"queue":0}}"#)
        return view
    }

    @Test func theTableIsPinned() {
        let table = StatusReport(view()).table(wide: false).rendered(colours: false)
        #expect(
            table == """
                SITE  NODE     STATE   SINCE (UTC)       VERSION  LOAD  TEMP     LINK    QUEUE
                farm  barn-1   online  2026-11-21 06:12  0.1.0    0.12  21.5 °C  online  0
                farm  gateway  online  2026-11-21 06:00  -        -     -        online  0

                """)
    }

    @Test func theWideTableSaysMore() {
        let table = StatusReport(view()).table(wide: true).rendered(colours: false)
        #expect(table.contains("UPTIME"))
        #expect(table.contains("37 %"))
        #expect(table.contains("bridge"))
    }

    @Test func coloursStandOnlyWhereTheyAreWanted() {
        let report = StatusReport(view())
        #expect(!report.table(wide: true).rendered(colours: false).contains("\u{1B}"))
        let coloured = report.table(wide: false).rendered(colours: true)
        #expect(coloured.contains("\u{1B}[32monline\u{1B}[0m  "))
    }

    @Test func controlCharactersFromTheNetworkNeverReachTheTerminalInAStatus() throws {
        let hostile = "1\u{1B}[2J\u{9B}31m\u{202E}x\n\u{7}"
        let view = view(version: hostile, why: hostile)
        let printed = Printed()
        let output = printed.to(isTerminal: true)
        let report = StatusReport(view)
        try output.write(report.table(wide: true))
        for problem in report.problems { output.note(problem) }
        try output.writeJSON(report.json(unseen: []).encoded())
        let all = printed.output + printed.errors
        #expect(all.contains("1\\u{1B}[2J\\u{9B}31m\\u{202E}x\\u{A}\\u{7}"))
        #expect(all.contains("1\\u001b[2J\\u009B31m\\u202Ex"))
        for scalar in all.unicodeScalars where scalar != "\n" {
            let category = scalar.properties.generalCategory
            #expect(category != .control && category != .format, "U+\(scalar.value)")
        }
    }

    @Test func jsonForProgramsIsWhole() throws {
        let printed = Printed()
        let json = StatusReport(view()).json(unseen: ["x"]).encoded()
        try printed.to(isTerminal: false).writeJSON(json)
        let value = try JSON.parse(Array(printed.output.utf8))
        #expect(value["nodes"]?.array?.count == 2)
        #expect(value["nodes"]?.array?[0]["state"]?.string == "online")
        #expect(value["nodes"]?.array?[0]["health"]?["temperature"]?.number == 21.46)
        let sensors = value["nodes"]?.array?[0]["sensors"]
        #expect(sensors?.object?.members.map(\.name) == ["attic", "cellar"])
        #expect(sensors?["attic"]?["v"]?.number == 21.062)
        #expect(value["links"]?.array?[0]["upstream"]?.string == "cloud")
        #expect(value["problems"]?.array == [])
        #expect(value["unseen"]?.array == [.string("x")])
    }

    @Test(arguments: [
        (0.0, 2, "0.00"), (0.125, 2, "0.13"), (21.46, 1, "21.5"), (-3.26, 1, "-3.3"),
        (-0.01, 1, "0.0"), (99.96, 1, "100.0"), (.nan, 1, "-"), (.infinity, 1, "-"),
        (1e300, 1, "1e+300"),
    ])
    func decimals(_ value: Double, _ digits: Int, _ expected: String) {
        #expect(Figures.decimal(value, digits: digits) == expected)
    }

    @Test(arguments: [
        (59.0, "0m"), (3_599, "59m"), (3_600, "1h 0m"), (90_061, "1d 1h"), (-1, "-"), (.nan, "-"),
        (1e300, "-"),
    ])
    func spans(_ seconds: Double, _ expected: String) {
        #expect(Figures.span(seconds) == expected)
    }

    @Test func coloursFollowTheTerminalAndNoColor() {
        // The tests' own standard output is no terminal, so there are none whatever is set.
        #expect(!Output.standard(environment: { _ in nil }).colours)
    }
}

@Suite struct MessagePrinterTests {
    private func print(
        _ payload: [UInt8], topic: String = "a/b", isJSON: Bool = false, verbose: Bool = false,
        isTerminal: Bool = false
    ) throws -> String {
        let printed = Printed()
        let printer = MessagePrinter(
            isJSON: isJSON, verbose: verbose, limit: 1, printed.to(isTerminal: isTerminal))
        #expect(!printer.hasEnough)
        try printer.print(
            ReceivedMessage(
                topic: Array(topic.utf8), payload: payload, qos: .atLeastOnce, retain: true,
                duplicate: false, properties: MessageProperties(), delivery: nil))
        #expect(printer.hasEnough)
        return printed.output
    }

    @Test func aPayloadGoesToAPipeAsItIs() throws {
        #expect(try print(Array("x\u{1B}[31m".utf8)) == "x\u{1B}[31m\n")
        #expect(try print(Array("x".utf8), verbose: true) == "a/b x\n")
    }

    @Test func aPayloadReachesATerminalEscaped() throws {
        #expect(
            try print(Array("x\u{1B}[31m\ty".utf8), isTerminal: true) == "x\\u{1B}[31m\ty\n")
        #expect(
            try print([0x78], topic: "a\u{9B}b", verbose: true, isTerminal: true)
                == "a\\u{9B}b x\n")
    }

    @Test(arguments: [
        (#"{"n":1,"v":21.5}"#, #"{"n":1,"v":21.5}"#), ("hot", #""hot""#), ("", #""""#),
        (#"{"a":1,"a":2}"#, #""{\"a\":1,\"a\":2}""#), ("12", "12"),
    ])
    func jsonHoldsTheValueWhereThereIsOneElseTheText(
        _ payload: String, _ expected: String
    ) throws {
        let line = try print(Array(payload.utf8), isJSON: true)
        #expect(line == #"{"topic":"a/b","payload":\#(expected),"qos":1,"retain":true}"# + "\n")
    }

    @Test func jsonHoldsBytesAsBase64() throws {
        let line = try print([0xFF, 0x00], isJSON: true)
        #expect(line.contains(#""payload":null,"payload_base64":"/wA=""#))
    }
}
