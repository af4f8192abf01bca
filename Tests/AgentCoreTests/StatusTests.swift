import AgentCore
import FleetModel
import MQTT
import Testing

@Suite struct StatusTests {
    private let other = Instance(bits: 0x20)

    private func time(_ seconds: Int64) -> Timestamp {
        Timestamp(unixMilliseconds: Harness.start.unixMilliseconds + seconds * 1000)
    }

    private func disconnects(_ harness: Harness) -> [Duration] {
        harness.others.compactMap { if case .disconnect(let wait) = $0 { wait } else { nil } }
    }

    @Test func aConnectionBeginsWithStatusAndInfoRetained() throws {
        var harness = try Harness()
        harness.connect()
        #expect(harness.published.allSatisfy { $0.retain && $0.qos == .atLeastOnce })
        let published = harness.take()
        #expect(published.first?.topic == "fleet/v1/home/barn/status")
        #expect(
            published.first?.payload
                == #"{"state":"online","instance":"0000000000000010","session":1732181234,"since":"2024-11-21T09:27:14.000Z","version":"\#(FleetVersion.current)"}"#
        )
        #expect(published.dropFirst().first?.topic == "fleet/v1/home/barn/info")
    }

    @Test func theWillIsOfflineWithoutATime() throws {
        let will = try Harness().core.will
        #expect(will.retain && will.qos == .atLeastOnce)
        #expect(
            String(decoding: will.payload, as: UTF8.self)
                == #"{"state":"offline","instance":"0000000000000010","session":1732181234}"#)
    }

    @Test func ourLateWillIsAnsweredWithOnline() throws {
        var harness = try Harness()
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        _ = harness.pass(.seconds(2))
        harness.hear(Status(state: .offline, instance: Harness.instance, session: 1_732_181_000))
        let published = harness.take()
        #expect(published.first?.topic.hasSuffix("/status") == true)
        #expect(published.first?.payload.contains("\"online\"") == true)
    }

    @Test func answersAreSpaced() throws {
        var harness = try Harness()
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        for _ in 0..<100 {
            harness.hear(Status(state: .offline, instance: Harness.instance, session: 1))
            harness.hearOurselves()
        }
        _ = harness.pass(.milliseconds(1500))
        #expect(harness.take().count { $0.topic.hasSuffix("/status") } == 2)
    }

    @Test func whatIsOlderThanOurWordIsIgnored() throws {
        var harness = try Harness()
        harness.connect()
        _ = harness.take()
        harness.hear(Status(state: .offline, instance: Harness.instance, session: 1), retain: true)
        harness.hear(
            Status(state: .online, instance: other, session: 1, since: time(-100)), retain: true)
        #expect(harness.take().isEmpty)
        #expect(disconnects(harness).isEmpty)
    }

    @Test func theLaterOfTwoMachinesGoesQuietAndRetries() throws {
        var harness = try Harness(sensors: [.every(1)])
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        harness.hear(Status(state: .online, instance: other, session: 1, since: time(-100)))
        let wait = try #require(disconnects(harness).first)
        #expect(wait > .seconds(200) && wait < .seconds(400))
        #expect(
            harness.others.contains {
                if case .log(.error, let text) = $0 {
                    text.contains("0000000000000020") && text.contains("agent.toml")
                } else {
                    false
                }
            })
        #expect(harness.take().isEmpty)
        harness.act { $0.disconnected(at: $1) }
        #expect(harness.pass(wait).isEmpty)
        #expect(harness.take().isEmpty)

        // The retry says who it is and nothing more, until nobody objects.
        harness.connect()
        #expect(harness.take().map(\.topic) == ["fleet/v1/home/barn/status"])
        harness.hearOurselves()
        harness.hear(Status(state: .online, instance: other, session: 1, since: time(-100)))
        #expect(disconnects(harness).count == 1)
        harness.act { $0.disconnected(at: $1) }
        _ = harness.take()

        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        #expect(!harness.pass(.seconds(12)).isEmpty)
        #expect(harness.take().contains { $0.topic.hasSuffix("/info") })
    }

    @Test func theEarlierOfTwoMachinesStaysAndSaysSoAgain() throws {
        var harness = try Harness()
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        harness.hear(Status(state: .online, instance: other, session: 1, since: time(100)))
        #expect(disconnects(harness).isEmpty)
        #expect(harness.published.first?.retain == true)
        #expect(
            harness.take().map(\.topic) == [
                "fleet/v1/home/barn/status", "fleet/v1/home/barn/info",
            ])
    }

    @Test func exactlyOneOfTwoYieldsWhateverTheirTimes() throws {
        for (ours, theirs) in [(true, time(0)), (true, nil), (false, time(0)), (false, nil)] {
            var one = try Harness(clock: ours)
            one.connect()
            one.hearOurselves()
            one.hear(Status(state: .online, instance: other, session: 1, since: theirs))
            // We have the lower instance, so we stay where the times do not decide.
            #expect(disconnects(one).isEmpty == !(ours == false && theirs != nil))
        }
    }

    @Test func aMachineThatLeftIsOverwritten() throws {
        var harness = try Harness()
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        harness.hear(Status(state: .offline, instance: other, session: 1))
        #expect(harness.take().first?.payload.contains("online") == true)
    }

    @Test func anOrderlyEndSaysOffline() throws {
        var harness = try Harness()
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        harness.act { $0.stop(at: $1) }
        let published = harness.take()
        #expect(published.count == 1)
        #expect(published.first?.payload.contains("\"why\":\"stopped\"") == true)
        harness.hear(Status(state: .offline, instance: Harness.instance, session: 1_732_181_234))
        _ = harness.pass(.seconds(10))
        #expect(harness.take().isEmpty)
    }

    @Test func readingsGoOnWhileTheBrokerIsAway() throws {
        var harness = try Harness(sensors: [.every(1)])
        harness.connect()
        harness.act { $0.disconnected(at: $1) }
        _ = harness.take()
        for (index, _) in harness.pass(.seconds(6)) { harness.read(index, .value(1)) }
        let published = harness.take()
        #expect(!published.isEmpty)
        #expect(published.allSatisfy { $0.topic.hasSuffix("/m/t") })
    }
}
