import FleetModel
import Testing

@Suite struct PayloadTests {
    private let boot = BootID(bits: 0x1f)
    private let time = TakenAt.clock(Timestamp(unixMilliseconds: 1_732_181_234_567))

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func measurementIsWrittenAsTheProtocolSays() throws {
        let good = Measurement(taken: time, value: 21.5, unit: "Cel", number: 4711, boot: boot)
        #expect(
            text(good.encode())
                == #"{"t":"2024-11-21T09:27:14.567Z","v":21.5,"u":"Cel","n":4711,"b":"000000000000001f"}"#
        )
        #expect(try Measurement(json: good.json) == good)
    }

    @Test func badMeasurementHasAReasonAndNoValue() throws {
        let bad = Measurement(
            taken: .uptime(milliseconds: 12_000), value: nil, quality: .bad, why: "i2c nak",
            number: 1, boot: boot)
        #expect(
            text(bad.encode())
                == #"{"up":12000,"q":"bad","why":"i2c nak","n":1,"b":"000000000000001f"}"#)
        #expect(try Measurement(json: bad.json) == bad)
    }

    @Test func unknownMembersAreIgnored() throws {
        var object = try #require(
            Measurement(taken: time, value: 1, number: 1, boot: boot).json.object)
        object["new"] = .object(["deep": .null])
        #expect(try Measurement(json: .object(object)).value == 1)
    }

    @Test func unknownQualityIsNotGood() throws {
        var object = try #require(
            Measurement(taken: time, value: 1, number: 1, boot: boot).json.object)
        object["q"] = .string("splendid")
        #expect(try Measurement(json: .object(object)).quality == .bad)
        object["q"] = .integer(1)
        #expect(try Measurement(json: .object(object)).quality == .bad)
    }

    @Test(arguments: [
        (JSONValue.null, "payload"), (.object([:]), "\"t\""),
        (.object(["t": .string("yesterday")]), "\"t\""), (.object(["up": .integer(1)]), "\"n\""),
        (.object(["up": .integer(1), "n": .integer(-1)]), "\"n\""),
        (.object(["up": .integer(1), "n": .integer(1), "b": .string("x")]), "\"b\""),
        (
            .object(["up": .integer(1), "n": .integer(1), "b": .string("000000000000001f")]),
            "\"v\""
        ),
    ])
    func measurementErrorsNameTheMember(json: JSONValue, member: String) {
        let error = #expect(throws: PayloadError.self) { try Measurement(json: json) }
        #expect(error?.description.contains(member) == true)
    }

    @Test func willHasInstanceAndSessionButNoTime() throws {
        let will = Status(state: .offline, instance: Instance(bits: 255), session: 1_732_181_234)
        #expect(
            text(will.encode())
                == #"{"state":"offline","instance":"00000000000000ff","session":1732181234}"#)
        #expect(try Status(json: will.json) == will)
        #expect(throws: PayloadError.self) { try Status(json: .object(["state": .string("on")])) }
    }

    @Test func stateKeepsTheOrderOfItsSensors() throws {
        let state = State(sensors: [
            (try SensorName("z"), .init(taken: time, value: 1)),
            (try SensorName("a"), .init(taken: time, value: nil, quality: .bad, why: "gone")),
        ])
        let read = try State(json: state.json)
        #expect(read == state)
        #expect(read.sensors.map(\.name.text) == ["z", "a"])
        #expect(read[try SensorName("a")]?.why == "gone")
    }

    @Test func healthInfoServiceAndEventReadBack() throws {
        let health = Health(
            taken: time, uptimeSeconds: 12.5, load: [0.1, 0.2, 0.3],
            memory: .init(total: 1000, available: 250), disk: .init(total: 10, available: 1),
            temperature: 48.3, throttled: 0x50000, clockSynchronised: true, bytesWritten: 512)
        #expect(try Health(json: health.json) == health)
        #expect(health.memory?.availableRatio == 0.25)
        let service = ServiceState(
            state: .online, version: "1", counters: ["queue": .integer(7), "dropped": .object([:])])
        #expect(try ServiceState(json: service.json) == service)
        #expect(service.counter("queue") == 7)
        let event = Event(
            taken: time, edge: .rising, kernelNanoseconds: 123, sequence: 4, number: 1, boot: boot)
        #expect(try Event(json: event.json) == event)
    }

    @Test func infoKeepsToItsLimitAndSaysWhatIsMissing() throws {
        var info = Info()
        info.model = "Raspberry Pi 4 Model B Rev 1.4"
        info.packages = [("fleet-agent", "0.1.0")]
        info.sensors = try (0..<200).map {
            Info.Sensor(name: try SensorName("sensor-\($0)"), unit: "Cel", source: "simulated")
        }
        let bytes = info.encode()
        #expect(bytes.count <= Info.maximumBytes)
        #expect(text(bytes).contains("\"sensors_left_out\":1"))
        #expect(try Info(json: info.json) == info)
    }

    @Test func clockKeepsTheLastEightBoots() throws {
        var clock = ClockOffsets()
        for index in 0..<10 {
            clock.add(.init(boot: BootID(bits: UInt64(index)), offsetMilliseconds: index))
        }
        clock.add(.init(boot: BootID(bits: 9), offsetMilliseconds: 90))
        #expect(clock.boots.map(\.boot.bits) == [2, 3, 4, 5, 6, 7, 8, 9])
        #expect(clock.boots.last?.offsetMilliseconds == 90)
        #expect(try ClockOffsets(json: clock.json) == clock)
    }

    @Test func commandsReadTheirExpiryOrAreRefused() throws {
        let command = try Command(
            json: .object(["exp": .string("2024-11-21T09:27:14.567Z"), "x": .integer(1)]))
        #expect(command.expires == time.timestamp)
        #expect(command.arguments == ["x": .integer(1)])
        #expect(throws: PayloadError.self) { try Command(json: .object(["exp": .integer(1)])) }
        #expect(throws: PayloadError.self) { try Command(json: .array([])) }
        let response = Response(
            state: .done, taken: time, instance: Instance(bits: 1), data: .object([:]))
        #expect(try Response(json: response.json) == response)
        #expect(Response.State.accepted.isFinal == false)
    }

    @Test func unitsAreThoseOfTheRegistry() throws {
        #expect(Unit("Cel")?.quantity == "temperature")
        #expect(Unit("°C") == nil)
        #expect(Set(Unit.all).count == Unit.all.count)
        for unit in [Unit.celsius, .relativeHumidity, .ratio, .percent, .second, .byte] {
            #expect(Unit(unit.symbol) == unit)
        }
    }
}
