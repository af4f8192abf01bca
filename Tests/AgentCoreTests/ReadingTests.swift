import AgentCore
import FleetModel
import MQTT
import Testing

@Suite struct ReadingTests {
    @Test func sensorsAreReadOnTheirIntervalAfterAJitteredStart() throws {
        var harness = try Harness(sensors: [.every(10, "a"), .every(10, "b")])
        var first: [Int: Moment] = [:]
        for (sensor, at) in harness.pass(.seconds(6)) {
            first[sensor] = at
            harness.read(sensor, .value(1))
        }
        let a = try #require(first[0])
        let b = try #require(first[1])
        #expect(a.monotonic != b.monotonic)
        #expect(a.monotonic - Harness.start.monotonic < .seconds(5))
        for _ in 0..<3 {
            for (sensor, at) in harness.pass(.seconds(10)) {
                let start = try #require(first[sensor])
                let seconds = (at.monotonic - start.monotonic).components
                #expect(seconds.attoseconds == 0 && seconds.seconds % 10 == 0)
                harness.read(sensor, .value(1))
            }
        }
    }

    @Test func aSeedRepeatsTheSchedule() throws {
        var one = try Harness(sensors: [.every(10)], seed: 7)
        var same = try Harness(sensors: [.every(10)], seed: 7)
        var other = try Harness(sensors: [.every(10)], seed: 8)
        let times = one.pass(.seconds(6)).map(\.at)
        #expect(times == same.pass(.seconds(6)).map(\.at))
        #expect(times != other.pass(.seconds(6)).map(\.at))
    }

    @Test func aReadingUnderWayIsNotStartedAgain() throws {
        var harness = try Harness(sensors: [.every(1)])
        #expect(harness.pass(.seconds(60)).count == 1)
        harness.read(0, .failed(why: "timed out"))
        #expect(harness.pass(.seconds(2)).count == 1)
    }

    @Test func sleepMakesNoBurst() throws {
        var harness = try Harness(sensors: [.every(1)])
        for (sensor, _) in harness.pass(.seconds(2)) { harness.read(sensor, .value(1)) }
        _ = harness.take()
        harness.now.monotonic = harness.now.monotonic + .seconds(3600)
        harness.act { $0.advance(to: $1) }
        #expect(harness.others.count { $0 == .read(sensor: 0) } <= 1)
    }

    @Test func numbersCountWithoutGapsAndTheRecordIsWhatIsPublished() throws {
        var harness = try Harness(sensors: [.every(10, "a"), .every(10, "b")])
        harness.read(0, .value(21.5))
        harness.read(0, .failed(why: "gone"))
        harness.read(0, .failed(why: "gone"))
        harness.read(0, .value(.nan))
        harness.read(1, .value(0.1))
        let records = harness.published.compactMap(\.record?.line)
        let published = harness.take()
        #expect(
            published.map(\.payload) == [
                #"{"t":"2024-11-21T09:27:14.000Z","v":21.5,"u":"Cel","n":1,"b":"000000000000001f"}"#,
                #"{"t":"2024-11-21T09:27:14.000Z","u":"Cel","q":"bad","why":"gone","n":2,"b":"000000000000001f"}"#,
                #"{"t":"2024-11-21T09:27:14.000Z","u":"Cel","q":"bad","why":"not a number","n":3,"b":"000000000000001f"}"#,
                #"{"t":"2024-11-21T09:27:14.000Z","v":0.1,"u":"Cel","n":1,"b":"000000000000001f"}"#,
            ])
        #expect(
            records == [
                "fleet/v1/home/barn/m/a\t1\t2024-11-21T09:27:14.000Z\t21.5",
                "fleet/v1/home/barn/m/a\t2\t2024-11-21T09:27:14.000Z\t",
                "fleet/v1/home/barn/m/a\t3\t2024-11-21T09:27:14.000Z\t",
                "fleet/v1/home/barn/m/b\t1\t2024-11-21T09:27:14.000Z\t0.1",
            ])
    }

    @Test func aSensorThatStaysBadSaysSoAtItsHeartbeatOnly() throws {
        var sensor = try SensorConfiguration.every(10)
        sensor.heartbeat = .seconds(60)
        var harness = try Harness(sensors: [sensor])
        for _ in 0..<18 {
            for (index, _) in harness.pass(.seconds(10)) { harness.read(index, .failed(why: "x")) }
        }
        #expect((3...4).contains(harness.take().count))
        harness.read(0, .failed(why: "y"))
        #expect(harness.take().count == 1)
    }

    @Test func absurdValuesAreBadWithTheReason() throws {
        var sensor = try SensorConfiguration.every(10)
        sensor.minimum = -55
        sensor.maximum = 125
        var harness = try Harness(sensors: [sensor])
        for value in [-127.0, 1e300, .infinity, -.infinity] {
            harness.read(0, .value(value))
            let payload = try #require(harness.take().first?.payload)
            #expect(payload.contains("\"q\":\"bad\""))
            #expect(!payload.contains("\"v\""))
            harness.read(0, .value(20))
            _ = harness.take()
        }
        harness.read(0, .value(125))
        #expect(harness.take().first?.payload.contains("\"v\":125.0") == true)
    }

    @Test func simulatedValuesSaySo() throws {
        var sensor = try SensorConfiguration.every(10)
        sensor.isSimulated = true
        var harness = try Harness(sensors: [sensor])
        harness.read(0, .value(1))
        #expect(harness.take().first?.payload.contains("\"q\":\"sim\"") == true)
    }

    @Test func unreliableSensorsUseQoS0AndAreNotRecorded() throws {
        var sensor = try SensorConfiguration.every(10)
        sensor.isUnreliable = true
        var harness = try Harness(sensors: [sensor])
        harness.read(0, .value(1))
        #expect(harness.published.first?.qos == .atMostOnce)
        #expect(harness.published.first?.record == nil)
    }

    @Test func aReasonIsCutAndCleaned() throws {
        var harness = try Harness(sensors: [.every(10)])
        harness.read(0, .failed(why: "a\u{0}b" + String(repeating: "ä", count: 1000)))
        let payload = try #require(harness.take().first?.payload)
        #expect(payload.contains("\"why\":\"a b"))
        #expect(payload.utf8.count < 250)
    }
}

@Suite struct StateTests {
    @Test func stateFollowsAChangeAtMostEveryTenSeconds() throws {
        var harness = try Harness(sensors: [.every(1)])
        harness.connect()
        #expect(!harness.take().contains { $0.topic.hasSuffix("/state") })
        var states: [Moment] = []
        for _ in 0..<300 {
            for (index, _) in harness.pass(.milliseconds(100)) { harness.read(index, .value(2)) }
            if harness.take().contains(where: { $0.topic.hasSuffix("/state") }) {
                states.append(harness.now)
            }
        }
        #expect((3...4).contains(states.count))
    }

    @Test func unchangedStateIsNotPublishedAgain() throws {
        var harness = try Harness(sensors: [.every(3600)])
        harness.connect()
        harness.read(0, .value(1))
        #expect(harness.take().contains { $0.topic.hasSuffix("/state") })
        _ = harness.pass(.seconds(600))
        #expect(!harness.take().contains { $0.topic.hasSuffix("/state") })
    }

    @Test func aSensorThatStaysBadDoesNotChangeTheState() throws {
        var harness = try Harness(sensors: [.every(1)])
        harness.connect()
        harness.read(0, .failed(why: "gone"))
        #expect(harness.take().contains { $0.topic.hasSuffix("/state") })
        for _ in 0..<60 {
            for (index, _) in harness.pass(.seconds(1)) {
                harness.read(index, .failed(why: "gone"))
            }
        }
        #expect(!harness.take().contains { $0.topic.hasSuffix("/state") })
    }

    @Test func aSensorOfWhichNothingComesTurnsStale() throws {
        var harness = try Harness(sensors: [.every(10)])
        harness.connect()
        _ = harness.pass(.seconds(6))
        harness.read(0, .value(1))
        _ = harness.take()
        _ = harness.pass(.seconds(60))
        #expect(
            harness.take().contains {
                $0.topic.hasSuffix("/state") && $0.payload.contains("\"q\":\"stale\"")
            })
    }

    @Test func manySensorsAreSplitIntoTopicsOfBoundedSize() throws {
        let name = String(repeating: "x", count: 60)
        var harness = try Harness(
            sensors: try (0..<AgentLimits.sensors).map {
                try .every(10, "\($0)" + name.dropLast(2))
            })
        for index in 0..<AgentLimits.sensors {
            harness.read(index, .failed(why: String(repeating: "\"", count: 100)))
        }
        _ = harness.take()
        harness.connect()
        let states = harness.take().filter { $0.topic.contains("/state") }
        #expect(
            states.map(\.topic) == [
                "fleet/v1/home/barn/state", "fleet/v1/home/barn/state/2",
                "fleet/v1/home/barn/state/3",
            ])
        #expect(states.allSatisfy { $0.payload.utf8.count <= AgentLimits.stateBytes })
        #expect(harness.published.isEmpty)
    }
}

@Suite struct HealthTests {
    private func sample(temperature: Double? = nil, available: Int = 50) -> Health {
        Health(
            taken: .uptime(milliseconds: 0), memory: .init(total: 100, available: available),
            temperature: temperature, clockSynchronised: false)
    }

    private func healths(_ harness: inout Harness) -> [String] {
        harness.take().filter { $0.topic.hasSuffix("/health") }.map(\.payload)
    }

    @Test func healthIsPublishedEveryMinute() throws {
        var harness = try Harness()
        harness.connect()
        var count = 0
        for _ in 0..<100 {
            _ = harness.pass(.seconds(10))
            if harness.others.contains(.sampleHealth) {
                harness.act { core, now in core.healthSampled(sample(), at: now) }
            }
            count += healths(&harness).count
        }
        #expect((16...18).contains(count))
    }

    @Test func healthIsPublishedAtOncePastAThresholdAndBack() throws {
        var harness = try Harness()
        harness.connect()
        harness.act { core, now in core.healthSampled(sample(temperature: 50), at: now) }
        #expect(healths(&harness).count == 1)
        harness.act { core, now in core.healthSampled(sample(temperature: 79), at: now) }
        #expect(healths(&harness).isEmpty)
        harness.act { core, now in core.healthSampled(sample(temperature: 81), at: now) }
        #expect(healths(&harness).count == 1)
        harness.act { core, now in core.healthSampled(sample(temperature: 82), at: now) }
        #expect(healths(&harness).isEmpty)
        harness.act { core, now in
            core.healthSampled(sample(temperature: 82, available: 4), at: now)
        }
        #expect(healths(&harness).count == 1)
        harness.act { core, now in core.healthSampled(sample(), at: now) }
        #expect(healths(&harness).count == 1)
    }

    @Test func healthCarriesTheCoresTime() throws {
        var harness = try Harness(clock: false)
        harness.connect()
        harness.act { core, now in core.healthSampled(sample(), at: now) }
        let payload = try #require(healths(&harness).first)
        #expect(payload.contains("\"up\":20000,"))
        #expect(payload.contains("\"clock_sync\":false"))
    }
}

@Suite struct ClockTests {
    @Test func withoutAClockTheTimeSinceBootStandsForT() throws {
        var harness = try Harness(sensors: [.every(10)], clock: false)
        harness.connect()
        harness.read(0, .value(1))
        let published = harness.take()
        #expect(!published.contains { $0.payload.contains("\"t\":\"2") })
        #expect(!published.contains { $0.payload.contains("\"since\"") })
        #expect(published.last?.payload.contains("\"up\":20000") == true)
    }

    @Test func theOffsetIsPublishedOnceTheClockIsRight() throws {
        var harness = try Harness(sensors: [.every(10)], clock: false)
        harness.connect()
        harness.read(0, .value(1))
        _ = harness.pass(.seconds(1))
        harness.now.unixMilliseconds = 1_800_000_021_000
        _ = harness.take()
        harness.act { $0.clockSynchronised(at: $1) }
        let stored = harness.others
        let published = harness.take()
        // The machine booted 21 s before.
        #expect(
            published.contains {
                $0.topic.hasSuffix("/clock")
                    && $0.payload == #"{"boots":[{"b":"000000000000001f","offset":1800000000000}]}"#
            })
        #expect(stored.count { if case .storeClock = $0 { true } else { false } } == 1)
        #expect(
            published.contains {
                $0.topic.hasSuffix("/status")
                    && $0.payload.contains(
                        Timestamp(unixMilliseconds: 1_800_000_020_000).description)
            })
        harness.read(0, .value(1))
        #expect(harness.take().first?.payload.contains("\"t\":\"2") == true)
    }

    @Test func aMachineWithAClockPublishesNoOffset() throws {
        var harness = try Harness(sensors: [.every(10)])
        harness.connect()
        harness.act { $0.clockSynchronised(at: $1) }
        #expect(!harness.take().contains { $0.topic.hasSuffix("/clock") })
    }
}

@Suite struct InputTests {
    @Test func edgesAreEventsWithTheKernelsTime() throws {
        var harness = try Harness(inputs: [try InputName("button")])
        harness.act { core, now in
            core.edge(input: 0, .rising, kernelNanoseconds: 5, sequence: 3, taken: now)
            core.edge(input: 0, .falling, kernelNanoseconds: 6, sequence: nil, taken: now)
        }
        let published = harness.take()
        #expect(
            published.map(\.topic) == Array(repeating: "fleet/v1/home/barn/event/button", count: 2))
        #expect(
            published.first?.payload
                == #"{"t":"2024-11-21T09:27:14.000Z","edge":"rising","kernel_ns":5,"seq":3,"n":1,"b":"000000000000001f"}"#
        )
        #expect(published.last?.payload.contains("\"n\":2") == true)
    }

    @Test func aBouncingContactIsLimitedAndLoggedOnce() throws {
        var harness = try Harness(inputs: [try InputName("button")])
        harness.act { core, now in
            for _ in 0..<1000 {
                core.edge(input: 0, .rising, kernelNanoseconds: nil, sequence: nil, taken: now)
            }
        }
        #expect(harness.others.count == 1)
        #expect(harness.take().count == 100)
        _ = harness.pass(.seconds(1))
        harness.act { core, now in
            core.edge(input: 0, .rising, kernelNanoseconds: nil, sequence: nil, taken: now)
        }
        #expect(harness.take().first?.payload.contains("\"n\":101") == true)
    }
}
