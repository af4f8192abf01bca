import FleetModel
import Testing

@Suite struct NameTests {
    @Test(arguments: ["a", "0", "barn", "pi-12ab34cd", String(repeating: "x", count: 63)])
    func nodeNamesAreAccepted(text: String) throws {
        #expect(try NodeName(text).text == text)
    }

    @Test(arguments: [
        ("", "must not be empty"), ("-a", "must begin"), ("Barn", "use lower case"),
        ("a.b", "only a-z, 0-9 and '-'"), ("a_b", "only"), ("a/b", "holds '/'"),
        ("a+", "holds '+'"),
        ("_site", "must begin"), ("ä", "byte 195"), (String(repeating: "x", count: 64), "64 bytes"),
    ])
    func nodeNamesAreRefusedWithAReason(text: String, reason: String) {
        let error = #expect(throws: NameError.self) { try NodeName(text) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test func sensorNamesMayHoldDotAndUnderscoreInside() throws {
        #expect(try SensorName("cpu.temp_1").text == "cpu.temp_1")
        #expect(throws: NameError.self) { try SensorName("_x") }
        #expect(throws: NameError.self) { try SensorName(".x") }
        #expect(throws: NameError.self) { try SensorName("#") }
    }

    @Test func namesAreReadFromBytes() throws {
        let bytes = Array("barn".utf8)
        #expect(try Site(bytes: bytes.span).text == "barn")
    }

    @Test(arguments: [
        ("barn-1", "barn-1"), ("Barn.lan", "barn"), ("my_pi", "my-pi"), ("--x", "x"),
        ("raspberrypi", "pi-9abcdef0"), ("RaspberryPi.local", "pi-9abcdef0"),
        ("localhost", "pi-9abcdef0"), ("debian", "pi-9abcdef0"), ("", "pi-9abcdef0"),
    ])
    func defaultNodeNameComesFromHostNameElseSerial(host: String, expected: String) {
        let name = NodeName.default(
            hostName: host, boardSerial: "100000009abcdef0\0", machineID: "ffff")
        #expect(name?.text == expected)
    }

    @Test func defaultNodeNameFallsBackToMachineID() {
        let id = "0123456789abcdef0123456789abcdef\n"
        #expect(
            NodeName.default(hostName: "raspberrypi", boardSerial: nil, machineID: id)?.text
                == "pi-89abcdef")
        #expect(
            NodeName.default(hostName: "debian", boardSerial: "0000000000000000", machineID: id)?
                .text == "pi-89abcdef")
        #expect(NodeName.default(hostName: "debian", boardSerial: nil, machineID: nil) == nil)
    }

    @Test func instanceIsSixteenHexadecimalDigits() {
        #expect(Instance(bits: 0x1f).description == "000000000000001f")
        #expect(Instance("000000000000001f")?.bits == 0x1f)
        #expect(Instance("1f") == nil)
        #expect(Instance("+00000000000001f") == nil)
        #expect(Instance("000000000000001g") == nil)
    }

    @Test func bootIDShowsTheBootTheInstanceAndTheRun() {
        let uuid = "91a48fdd-5b53-4363-9568-c481b6fdc48b\n"
        let instance = Instance(bits: 0xabcd_0000_0000_0000)
        let boot = BootID(kernelBootID: uuid, instance: instance, run: 1)
        #expect(boot?.description == "91a48fddabcd0001")
        #expect(BootID(kernelBootID: "garbage", instance: instance, run: 1) == nil)
    }

    @Test func requestIDsAreBoundedAndOneLevel() throws {
        #expect(try RequestID("0f8c6e0a-1f2B_9").text == "0f8c6e0a-1f2B_9")
        for text in ["", "a/b", "+", "#", "a b", String(repeating: "a", count: 65)] {
            #expect(throws: NameError.self) { try RequestID(text) }
        }
    }
}
