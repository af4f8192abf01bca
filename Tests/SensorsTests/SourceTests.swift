import AgentCore
import FleetModel
import GPIO
import IO
import MQTT
import Sensors
import Testing

/// Reads one source once, through the same reader as the agent.
private func read(
    _ source: SensorSource, _ tree: RecordedTree, timeout: Duration = .seconds(10)
) throws -> Reading {
    let loop = try EventLoop()
    let reader = SensorReader([.init(source, timeout: timeout)], roots: tree.roots, loop: loop)
    return try loop.reading(of: 0, reader)
}

extension EventLoop {
    fileprivate func reading(of index: Int, _ reader: SensorReader) throws -> Reading {
        var answer: Reading?
        reader.read(index) { reading, _ in answer = reading }
        let deadline = SystemClock.monotonic() + .seconds(20)
        while answer == nil, SystemClock.monotonic() < deadline {
            turn(waitingAtMost: .milliseconds(100))
        }
        return try #require(answer)
    }
}

@Suite struct SourceTests {
    @Test(arguments: [
        (SensorSource.load(minutes: 1), 0.52), (.load(minutes: 5), 0.41),
        (.load(minutes: 15), 0.30), (.memory, 10.0), (.uptime, 12345.67),
        (.thermal(zone: nil), 48.312), (.thermal(zone: "0"), 48.312),
        (.thermal(zone: "cpu-thermal"), 48.312),
        (.hwmon(chip: "cpu_thermal", input: "temp1"), 48.312),
        (.hwmon(chip: "ads1015", input: "in4"), 3.311), (.oneWire(id: nil), 23.125),
        (.oneWire(id: "28-0316a2795f12"), 23.125),
    ])
    func sourcesOfARaspberryPiAreRead(source: SensorSource, value: Double) throws {
        #expect(try read(source, try RecordedTree()) == .value(value))
    }

    @Test func diskIsReadByStatvfs() throws {
        guard case .value(let value) = try read(.disk(path: "/"), try RecordedTree()) else {
            Issue.record("no value")
            return
        }
        #expect(0...100 ~= value)
    }

    @Test(arguments: [
        (SensorSource.load(minutes: 1), "proc/loadavg"), (.memory, "proc/meminfo"),
        (.uptime, "proc/uptime"), (.thermal(zone: nil), RecordedTree.temperature),
        (.hwmon(chip: "cpu_thermal", input: "temp1"), "sys/class/hwmon/hwmon0/temp1_input"),
    ])
    func everyLieIsAFailureWithAReason(source: SensorSource, file: String) throws {
        let tree = try RecordedTree()
        for lie in [
            "", "\n", "\0\0\0", "garbage\n", "NaN\n", "-nan 1 2\n", "inf inf inf\n", "-5 -5 -5\n",
            "0x12\n", "99999999999999999999999999\n", String(repeating: "9", count: 100_000),
            "MemTotal: 5 kB\nMemAvailable: 9 kB\n", "MemTotal: x kB\n", "MemTotal:\n",
        ] {
            // A whole number below zero is a frost for a thermometer.
            if lie.hasPrefix("-5"), file.hasPrefix("sys") { continue }
            try tree.write(file, lie)
            guard case .failed(let why) = try read(source, tree) else {
                Issue.record("\(source) took \(lie.prefix(20))")
                continue
            }
            #expect(!why.isEmpty)
        }
        tree.delete(file)
        guard case .failed = try read(source, tree) else {
            Issue.record("\(source) needs no \(file)")
            return
        }
        try tree.write(file, file.hasPrefix("sys") ? "-5000\n" : "1 1 1\n")
    }

    @Test func frostIsATemperature() throws {
        let tree = try RecordedTree()
        try tree.write(RecordedTree.temperature, "-18500\n")
        #expect(try read(.thermal(zone: nil), tree) == .value(-18.5))
        try tree.write(RecordedTree.temperature, "-300000\n")
        #expect(try read(.thermal(zone: nil), tree) != .value(-300))
    }

    @Test(arguments: [
        ("85000", "power-on"), ("-127000", "wiring"), ("125001", "range"), ("", "empty"),
        ("-55001", "range"), ("t=5", "no whole number"),
    ])
    func suspiciousValuesOfADS18B20AreBad(content: String, reason: String) throws {
        let tree = try RecordedTree()
        tree.delete(RecordedTree.w1 + "/w1_slave")
        try tree.write(RecordedTree.w1 + "/temperature", content)
        guard case .failed(let why) = try read(.oneWire(id: nil), tree) else {
            Issue.record("taken: \(content)")
            return
        }
        #expect(why.contains(reason))
    }

    @Test func oldKernelsAreReadByTheirTextForm() throws {
        let tree = try RecordedTree()
        tree.delete(RecordedTree.w1 + "/temperature")
        #expect(try read(.oneWire(id: nil), tree) == .value(23.125))
        for (lie, reason) in [
            ("72 01 : crc=57 NO\n72 01 t=23125\n", "checksum"),
            ("72 01 : crc=57 YES\n", "cut short"),
            ("72 01 : crc=57 YES\n72 01\n", "no t="), ("72 : crc=57 YES\n72 t=85000\n", "power-on"),
            ("72 : crc=57 YES\n72 t=x\n", "no whole number"), ("", "cut short"),
        ] {
            try tree.write(RecordedTree.w1 + "/w1_slave", lie)
            guard case .failed(let why) = try read(.oneWire(id: nil), tree) else {
                Issue.record("taken: \(lie)")
                continue
            }
            #expect(why.contains(reason), "\(why)")
        }
    }

    @Test func severalSensorsOnTheBusMustBeNamed() throws {
        let tree = try RecordedTree()
        try tree.write("sys/bus/w1/devices/28-000000000001/temperature", "1000\n")
        guard case .failed(let why) = try read(.oneWire(id: nil), tree) else {
            Issue.record("one was chosen")
            return
        }
        #expect(why.contains("2 1-Wire sensors"))
        #expect(try read(.oneWire(id: "28-000000000001"), tree) == .value(1))
    }

    @Test func missingChipsAndFaultsAreToldByName() throws {
        let tree = try RecordedTree()
        guard case .failed(let why) = try read(.hwmon(chip: "nvme", input: "temp1"), tree) else {
            Issue.record("there is none")
            return
        }
        #expect(why.contains("nvme"))
        try tree.write("sys/class/hwmon/hwmon0/temp1_fault", "1\n")
        guard case .failed = try read(.hwmon(chip: "cpu_thermal", input: "temp1"), tree) else {
            Issue.record("the chip reports a fault")
            return
        }
        guard case .failed = try read(.thermal(zone: "gpu"), tree) else {
            Issue.record("there is none")
            return
        }
    }

    @Test func aLineThatIsNotThereIsBadAndNoMore() throws {
        let request = GPIOLineRequest(.name("NO-SUCH-LINE", chip: nil), wantsRisingEdges: true)
        guard case .failed(let why) = try read(.gpio(request), try RecordedTree()) else {
            Issue.record("there is none")
            return
        }
        #expect(why.contains("NO-SUCH-LINE"))
    }
}

@Suite struct HangTests {
    @Test func oneThatHangsIsToldAndStopsNobodyElse() throws {
        let tree = try RecordedTree()
        let loop = try EventLoop()
        let reader = SensorReader(
            [
                .init(.thermal(zone: nil), timeout: .milliseconds(100)),
                .init(.load(minutes: 1), timeout: .seconds(20)),
            ], roots: tree.roots, loop: loop)
        tree.hang(RecordedTree.temperature)
        var hanging: Reading?
        reader.read(0) { reading, _ in hanging = reading }
        #expect(try loop.reading(of: 1, reader) == .value(0.52))
        while hanging == nil { loop.turn(waitingAtMost: .milliseconds(20)) }
        guard case .failed(let why) = hanging else {
            Issue.record("it hangs")
            return
        }
        #expect(why.hasPrefix("timed out"))
        // Asked again while it hangs, it says the same at once: no second thread hangs.
        for _ in 0..<50 { #expect(try loop.reading(of: 0, reader) == .failed(why: why)) }
        #expect(try loop.reading(of: 1, reader) == .value(0.52))

        // It comes back when the driver does.
        try tree.release(RecordedTree.temperature, "48312\n")
        let deadline = SystemClock.monotonic() + .seconds(10)
        var reading = try loop.reading(of: 0, reader)
        while reading != .value(48.312), SystemClock.monotonic() < deadline {
            loop.turn(waitingAtMost: .milliseconds(10))
            reading = try loop.reading(of: 0, reader)
        }
        #expect(reading == .value(48.312))
    }
}

@Suite struct SimulationTests {
    private func values(_ simulation: Simulation, count: Int = 200) -> [Double] {
        var generator = simulation.makeGenerator()
        return (0..<count).map { _ in generator.next() }
    }

    @Test(arguments: Simulation.Kind.allCases)
    func aSeedRepeatsItsValues(kind: Simulation.Kind) {
        let one = Simulation(kind: kind, seed: 7)
        #expect(values(one) == values(one))
        #expect(values(one) != values(Simulation(kind: kind, seed: 8)))
    }

    @Test(arguments: Simulation.Kind.allCases)
    func valuesStayWithinTheAmplitude(kind: Simulation.Kind) {
        let simulation = Simulation(kind: kind, mean: 100, amplitude: 2, period: 10, seed: 3)
        let made = values(simulation, count: 5000)
        #expect(made.allSatisfy { 98...102 ~= $0 })
        #expect(Set(made).count > 10)
    }

    @Test func stepsHoldTheirLevel() {
        let made = values(Simulation(kind: .steps, period: 50, seed: 5), count: 1000)
        let jumps = zip(made, made.dropFirst()).count { $0 != $1 }
        #expect((5...60).contains(jumps))
    }
}

@Suite struct MachineFactsTests {
    @Test func aRaspberryPiIsRecognised() throws {
        let tree = try RecordedTree()
        let facts = MachineFacts(tree.roots)
        let info = facts.info(instance: Instance(bits: 1), serial: "100000009abcdef0")
        #expect(info.serial == "100000009abcdef0")
        #expect(info.model == "Raspberry Pi 4 Model B Rev 1.4")
        #expect(info.kernel == "6.12.25+rpt-rpi-v8")
        #expect(info.operatingSystem == "Debian GNU/Linux 12 (bookworm)")
        #expect(info.addresses == ["192.168.1.7", "2001:db8::7"])
        #expect(info.packages.map(\.name) == ["fleet-agent"])
        #expect(facts.installedPackages().map(\.name) == ["fleet-agent", "zlib1g"])
    }

    @Test func healthLeavesOutWhatCannotBeRead() throws {
        let tree = try RecordedTree()
        let health = MachineFacts(tree.roots).health(diskPath: "/")
        #expect(health.load == [0.52, 0.41, 0.30])
        #expect(health.memory?.total == 3_884_376 * 1024)
        #expect(health.temperature == 48.312)
        #expect(health.throttled == 0x50005)
        #expect(health.bytesWritten == 200_000 * 512)
        #expect(health.disk != nil)
        for file in ["proc/loadavg", "proc/meminfo", RecordedTree.temperature] {
            try tree.write(file, "garbage")
        }
        let broken = MachineFacts(tree.roots).health(diskPath: "/no/such/folder")
        #expect(broken.load.isEmpty && broken.memory == nil && broken.temperature == nil)
        #expect(broken.disk == nil && broken.uptimeSeconds == 12345.67)
    }

    @Test func anEmptyMachineIsNoReasonToFail() {
        let facts = MachineFacts(
            KernelRoots(proc: "/no/proc", sys: "/no/sys", root: "/no/root"))
        let info = facts.info(instance: Instance(bits: 1), serial: nil)
        #expect(info.packages.map(\.name) == ["fleet-agent"] && info.model == nil)
        #expect(facts.installedPackages().isEmpty)
    }
}
