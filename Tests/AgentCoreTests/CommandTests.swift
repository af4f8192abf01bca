import AgentCore
import FleetModel
import MQTT
import Testing

@Suite struct CommandTests {
    private let ping = "fleet/v1/home/barn/cmd/ping/4f-1"
    private let pong = "fleet/v1/home/barn/res/ping/4f-1"

    private func online() throws -> Harness {
        var harness = try Harness()
        harness.connect()
        harness.hearOurselves()
        _ = harness.take()
        return harness
    }

    private func id(_ text: String = "4f-1") throws -> RequestID { try RequestID(text) }

    private func remembers(_ harness: Harness) -> [CommandRecord] {
        harness.others.compactMap { if case .remember(let record) = $0 { record } else { nil } }
    }

    private func states(_ harness: inout Harness) throws -> [String] {
        try harness.take().map { published in
            try #require(
                published.payload.split(separator: "\"").dropFirst(3).first.map(String.init))
        }
    }

    @Test func aPingIsStoredThenAcknowledgedThenAnswered() throws {
        var harness = try online()
        harness.receive(ping, .empty, delivery: 9)
        #expect(remembers(harness).map(\.id.text) == ["4f-1"])
        #expect(!harness.others.contains(.acknowledge(delivery: 9)))
        #expect(harness.take().isEmpty)
        harness.act { [id = try id()] in $0.remembered(id, at: $1) }
        #expect(harness.others.contains(.acknowledge(delivery: 9)))
        let published = harness.take()
        #expect(published.map(\.topic) == [pong, pong])
        #expect(published.first?.payload.contains("\"state\":\"accepted\"") == true)
        #expect(published.last?.payload.contains("\"state\":\"done\"") == true)
        #expect(published.last?.payload.contains("\"data\":{\"up\":20000}") == true)
    }

    @Test func anIdRunsOnceEvenAfterARestart() throws {
        var harness = try online()
        harness.receive(ping, .empty)
        harness.act { [id = try id()] in $0.remembered(id, at: $1) }
        let records = remembers(harness)
        _ = harness.take()
        harness.receive(ping, .empty, delivery: 2)
        #expect(harness.others == [.acknowledge(delivery: 2)])
        #expect(harness.take().isEmpty)

        var restarted = try Harness(commands: records)
        restarted.connect()
        _ = restarted.take()
        restarted.receive(ping, .empty, delivery: 3)
        #expect(restarted.others == [.acknowledge(delivery: 3)])
        #expect(restarted.take().isEmpty)
    }

    @Test func idsAreForgottenAfterSevenDays() throws {
        let week: Int64 = 7 * 86_400_000
        let now = Harness.start.unixMilliseconds
        let old = CommandRecord(
            id: try id(), verb: "ping", unixMilliseconds: now - week - 1, isRepeatable: true)
        var harness = try Harness(commands: [old])
        harness.connect()
        harness.receive(ping, .empty)
        #expect(remembers(harness).count == 1)
        // A clock that is not known to be right forgets nothing.
        var unsynchronised = try Harness(commands: [old], clock: false)
        unsynchronised.connect()
        unsynchronised.receive(ping, .empty)
        #expect(remembers(unsynchronised).isEmpty)
    }

    @Test func memoryIsBoundedAndForgetsOnlyWhatMayRunAgain() throws {
        let now = Harness.start.unixMilliseconds
        func records(repeatable: Bool) throws -> [CommandRecord] {
            try (0..<AgentLimits.rememberedCommands).map {
                CommandRecord(
                    id: try RequestID("r\($0)"), verb: "x", unixMilliseconds: now,
                    isRepeatable: repeatable)
            }
        }
        var full = try Harness(commands: try records(repeatable: false))
        full.connect()
        _ = full.take()
        full.receive(ping, .empty)
        #expect(try states(&full) == ["failed"])
        var forgetful = try Harness(commands: try records(repeatable: true))
        forgetful.connect()
        forgetful.receive(ping, .empty)
        #expect(remembers(forgetful).count == 1)
        _ = forgetful.take()
        forgetful.receive("fleet/v1/home/barn/cmd/ping/r1", .empty)
        #expect(remembers(forgetful).isEmpty)
        forgetful.receive("fleet/v1/home/barn/cmd/ping/r0", .empty)
        #expect(remembers(forgetful).count == 1)
    }

    @Test func aRetainedCommandIsRefusedOnce() throws {
        var harness = try online()
        harness.receive(ping, .empty, retain: true, delivery: 4)
        #expect(harness.others == [.acknowledge(delivery: 4)])
        #expect(harness.take().isEmpty, "an empty retained message only deletes")
        for delivery: UInt64 in [5, 6] {
            harness.receive(ping, .json(.object([:])), retain: true, delivery: delivery)
            #expect(remembers(harness).isEmpty)
            #expect(harness.others.contains(.acknowledge(delivery: delivery)))
            #expect(try states(&harness) == (delivery == 5 ? ["failed"] : []))
        }
    }

    @Test func anExpiredCommandDoesNotRun() throws {
        var harness = try online()
        let past = Timestamp(unixMilliseconds: harness.now.unixMilliseconds - 1)
        harness.receive(ping, .json(Command(expires: past).json))
        #expect(remembers(harness).isEmpty)
        #expect(try states(&harness) == ["expired"])
        let future = Timestamp(unixMilliseconds: harness.now.unixMilliseconds + 1)
        harness.receive(ping, .json(Command(expires: future).json))
        #expect(remembers(harness).count == 1)
    }

    @Test func anExpiryCannotBeJudgedWithoutAClock() throws {
        var harness = try Harness(clock: false)
        harness.connect()
        _ = harness.take()
        let future = Timestamp(unixMilliseconds: harness.now.unixMilliseconds + 1_000_000)
        harness.receive(ping, .json(Command(expires: future).json))
        #expect(try states(&harness) == ["failed"])
    }

    @Test(arguments: [
        ("fleet/v1/home/barn/cmd/reboot/1", InboundMessage.Payload.empty, "unknown verb"),
        ("fleet/v1/home/barn/cmd/ping/1", .malformed(why: "line 1"), "no JSON: line 1"),
        ("fleet/v1/home/barn/cmd/ping/1", .json(.array([])), "not an object"),
        ("fleet/v1/home/barn/cmd/ping/1", .json(.object(["exp": .string("soon")])), "RFC 3339"),
    ])
    func whatCannotRunIsAnsweredWithTheReason(
        topic: String, payload: InboundMessage.Payload, reason: String
    ) throws {
        var harness = try online()
        harness.receive(topic, payload)
        #expect(harness.others == [.acknowledge(delivery: 1)])
        let answer = try #require(harness.take().first)
        #expect(answer.payload.contains("\"state\":\"failed\"") && answer.payload.contains(reason))
    }

    @Test(arguments: [
        ("fleet/v1/home/barn/res/mine/1", true), ("fleet/v1/home/barn/res/", false),
        ("fleet/v1/home/barn/status", false), ("fleet/v1/home/other/res/x", false),
        ("fleet/v1/home/barn/res/#", false), ("fleet/v1/home/barn/res/+/1", false),
        ("homeassistant/x", false), ("fleet/v1/home/barn/resx", false),
        ("fleet/v1/home/barn/res/" + String(repeating: "x", count: 600), false),
    ])
    func aResponseTopicIsHonouredOnlyBelowRes(topic: String, honoured: Bool) throws {
        var harness = try online()
        harness.receive(
            "fleet/v1/home/barn/cmd/nothing/4f-1", .empty, responseTopic: topic,
            correlation: [1, 2, 3])
        #expect(harness.published.first?.correlationData == [1, 2, 3])
        #expect(
            harness.take().first?.topic
                == (honoured ? topic : "fleet/v1/home/barn/res/nothing/4f-1"))
    }

    @Test func commandsToAllNodesAreAnsweredByThisOne() throws {
        var harness = try online()
        harness.receive("fleet/v1/home/_all/cmd/ping/4f-1", .empty)
        harness.act { [id = try id()] in $0.remembered(id, at: $1) }
        #expect(harness.take().map(\.topic) == [pong, pong])
    }

    @Test func foreignTopicsAreAcknowledgedAndIgnored() throws {
        var harness = try online()
        for topic in [
            "fleet/v1/other/barn/cmd/ping/1", "fleet/v1/home/other/cmd/ping/1", "a/b",
            "fleet/v1/home/barn/new/1",
        ] {
            harness.receive(topic, .empty, delivery: 7)
            #expect(harness.others == [.acknowledge(delivery: 7)])
            #expect(harness.take().isEmpty)
        }
    }

    @Test func theInventoryIsGatheredByTheShell() throws {
        var harness = try online()
        harness.receive("fleet/v1/home/barn/cmd/inventory/4f-1", .empty)
        let id = try id()
        harness.act { $0.remembered(id, at: $1) }
        #expect(harness.others.contains(.gatherInventory(id)))
        #expect(try states(&harness) == ["accepted"])
        harness.act {
            $0.inventoryGathered(id, .success(.object(["kernel": .string("6.12")])), at: $1)
        }
        #expect(harness.take().first?.payload.contains("\"kernel\":\"6.12\"") == true)
        // A second answer for the same command goes nowhere.
        harness.act { $0.inventoryGathered(id, .failure(InventoryFailure(why: "x")), at: $1) }
        #expect(harness.take().isEmpty)
    }

    @Test func commandsRunAlsoWhenTheStoreFails() throws {
        var harness = try online()
        harness.receive(ping, .empty)
        harness.act { [id = try id()] in $0.remembered(id, failure: "read-only", at: $1) }
        #expect(
            harness.others.contains {
                if case .log(.error, _) = $0 { true } else { false }
            })
        #expect(try states(&harness) == ["accepted", "done"])
    }

    @Test func runningCommandsAreLimited() throws {
        var harness = try online()
        for number in 0..<AgentLimits.runningCommands {
            harness.receive("fleet/v1/home/barn/cmd/ping/r\(number)", .empty)
        }
        #expect(harness.take().isEmpty)
        harness.receive(ping, .empty)
        #expect(try states(&harness) == ["failed"])
    }
}
