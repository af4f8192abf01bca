import FleetModel
import Testing

@Suite struct FleetTopicTests {
    static let topics = [
        "fleet/v1/home/barn/status", "fleet/v1/home/barn/info", "fleet/v1/home/barn/health",
        "fleet/v1/home/barn/state", "fleet/v1/home/barn/state/g1", "fleet/v1/home/barn/clock",
        "fleet/v1/home/barn/link/cloud", "fleet/v1/home/barn/m/cpu.temp",
        "fleet/v1/home/barn/event/button", "fleet/v1/home/barn/alarm/cpu.temp/too-hot",
        "fleet/v1/home/barn/service/bridge", "fleet/v1/home/barn/cmd/ping/4f-1",
        "fleet/v1/home/_all/cmd/ping/4f-1", "fleet/v1/home/barn/res/ping/4f-1",
        "fleet/v1/home/_site/clock",
    ]

    @Test(arguments: topics)
    func whatIsParsedIsBuiltAgain(text: String) throws {
        let topic = try #require(FleetTopic(parsing: Array(text.utf8)))
        #expect(topic.bytes == Array(text.utf8))
    }

    @Test(arguments: [
        "", "fleet", "fleet/v1/home/barn", "fleet/v2/home/barn/status", "other/v1/home/barn/status",
        "fleet/v1/Home/barn/status", "fleet/v1/home/_other/status", "fleet/v1/home/barn/status/x",
        "fleet/v1/home/barn/m", "fleet/v1/home/barn/m/", "fleet/v1/home/barn/m/a/b",
        "fleet/v1/home/barn/new-channel", "fleet/v1/home/barn/cmd/ping",
        "/fleet/v1/home/barn/status",
        "fleet/v1/home/barn/cmd/ping/a b", "fleet/v1//barn/status", "fleet/v1/home/+/status",
    ])
    func foreignTopicsAreIgnored(text: String) {
        #expect(FleetTopic(parsing: text) == nil)
    }

    @Test func partsAreTyped() throws {
        let topic = try #require(FleetTopic(parsing: "fleet/v1/home/barn/alarm/cpu.temp/too-hot"))
        #expect(topic.site == (try Site("home")))
        #expect(topic.node == (try NodeName("barn")))
        #expect(topic.channel == .alarm(try SensorName("cpu.temp"), try RuleName("too-hot")))
        #expect(FleetTopic(parsing: "fleet/v1/home/_all/cmd/ping/1")?.node == nil)
    }

    @Test func filtersNameOneFamilyEach() throws {
        #expect(FleetTopic.filter(.status) == "fleet/v1/+/+/status")
        #expect(
            FleetTopic.filter(.links, site: try Site("home")) == "fleet/v1/home/+/link/+")
        #expect(
            FleetTopic.filter(.commands, site: try Site("home"), scope: .allNodes)
                == "fleet/v1/home/_all/cmd/+/+")
        #expect(Set(FleetTopic.Family.allCases.map { FleetTopic.filter($0) }).count == 13)
    }
}
