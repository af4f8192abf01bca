import FleetModel
import Testing

@testable import fleet

/// Retained messages in, a report out.
private func report(_ messages: [String: String], only: FleetView.Key? = nil) -> StatusReport {
    var view = FleetView()
    for (topic, payload) in messages.sorted(by: { $0.key < $1.key }) {
        view.take(topic: Array("fleet/v1/\(topic)".utf8), payload: Array(payload.utf8))
    }
    return StatusReport(view, only: only)
}

private let online = #"{"state":"online","since":"2026-11-21T06:12:00.000Z","version":"0.1.0"}"#
private let will = #"{"state":"offline","session":7}"#

@Suite struct FleetViewTests {
    @Test func anOnlineNodeIsFine() {
        let report = report(["farm/barn-1/status": online])
        #expect(report.rows.map(\.state) == [.online])
        #expect(report.rows[0].since?.description == "2026-11-21T06:12:00.000Z")
        #expect(report.problems == [])
    }

    @Test func nodesBehindALinkThatIsDownAreUnknownNeverOnline() {
        let report = report([
            "farm/barn-1/status": online,
            "farm/barn-2/status": will,
            "farm/barn-2/health":
                #"{"t":"2026-11-21T07:30:00.000Z","load":[0.5],"clock_sync":true}"#,
            "farm/gateway/link/cloud": will,
            "home/pi/status": online,
        ])
        #expect(
            report.rows.map { "\($0.key.site)/\($0.key.node) \($0.state.rawValue)" } == [
                "farm/barn-1 unknown", "farm/barn-2 unknown", "farm/gateway unknown",
                "home/pi online",
            ])
        // The will has no time: the last sign of anything at the site stands for it.
        #expect(report.rows[0].since == nil)
        #expect(report.rows[0].lastSign?.description == "2026-11-21T07:30:00.000Z")
        #expect(
            report.problems == [
                "farm/gateway: the link to cloud is offline, so the nodes of farm cannot be known"
            ])
    }

    @Test func aLinkThatSaysSinceWhenItIsDownDatesTheUnknown() {
        let report = report([
            "farm/barn-1/status": online,
            "farm/gateway/link/cloud":
                #"{"state":"offline","since":"2026-11-21T09:00:00.000Z","why":"stopped"}"#,
        ])
        #expect(report.rows[0].since?.description == "2026-11-21T09:00:00.000Z")
        #expect(report.problems[0].contains("(stopped)"))
    }

    @Test func oneLinkOfTwoThatIsUpIsEnoughToKnow() {
        let report = report([
            "farm/barn-1/status": online, "farm/g1/link/cloud": will, "farm/g2/link/cloud": online,
        ])
        #expect(report.rows.first?.state == .online)
        #expect(report.problems == ["farm/g1: the link to cloud is offline", "farm/g1 is offline"])
    }

    @Test func anOfflineNodeAndAnOfflineServiceAreProblems() {
        let report = report([
            "farm/barn-1/status": #"{"state":"offline","why":"stopped"}"#,
            "farm/barn-2/status": online, "farm/barn-2/service/bridge": #"{"state":"offline"}"#,
        ])
        #expect(
            report.problems == [
                "farm/barn-1 is offline (stopped)", "farm/barn-2: the service bridge is offline",
            ])
    }

    @Test func aStoreThatWasPutAsideOrCannotBeWrittenIsAProblem() {
        func service(_ counters: String) -> [String: String] {
            ["farm/gateway/service/broker": #"{"state":"online","counters":{\#(counters)}}"#]
        }
        let none = report(service(#""store":"ok","stores_quarantined":0"#))
        #expect(none.problems == [])
        let one = report(service(#""store":"quarantined","stores_quarantined":1"#))
        #expect(one.problems == ["farm/gateway: broker: a damaged store was put aside"])
        #expect(one.table(wide: true).rendered(colours: false).contains("broker(quarantined)"))
        let more = report(service(#""store":"ok","stores_quarantined":3"#))
        #expect(more.problems == ["farm/gateway: broker: 3 damaged stores were put aside"])
        #expect(
            report(service(#""store":"quarantined""#)).problems
                == ["farm/gateway: broker: a damaged store was put aside"])
        let failed = report(service(#""store":"failed""#))
        #expect(failed.problems == ["farm/gateway: broker: its store cannot be written"])
    }

    @Test func aGatewayWithoutAnAgentIsAsItsBridgeSays() {
        let report = report([
            "farm/gateway/link/cloud": online, "farm/gateway/service/bridge": online,
        ])
        #expect(report.rows.map(\.state) == [.online])
        #expect(report.problems == [])
    }

    @Test func aNodeThatNeverSaidIsUnknown() {
        let report = report(["farm/barn-1/info": #"{"model":"Pi 4"}"#])
        #expect(report.rows.map(\.state) == [.unknown])
        #expect(report.problems == ["farm/barn-1 has never said whether it is online"])
    }

    @Test func theQueuesOfTheSitesBridgesStandWithEveryNode() {
        let report = report([
            "farm/barn-1/status": online,
            "farm/g1/service/bridge": #"{"state":"online","counters":{"queue":12}}"#,
            "farm/g2/service/bridge": #"{"state":"online","counters":{"queue":30}}"#,
            "home/pi/status": online,
        ])
        #expect(report.rows.map(\.queue) == [42, 42, 42, nil])
    }

    @Test func anEmptyPayloadForgetsWhatWasRetained() {
        var view = FleetView()
        let topic = Array("fleet/v1/farm/barn-1/status".utf8)
        view.take(topic: topic, payload: Array(online.utf8))
        #expect(view.nodes.count == 1)
        view.take(topic: topic, payload: [])
        #expect(view.nodes.isEmpty)
    }

    @Test func nothingKnownIsAProblem() {
        #expect(report([:]).problems == ["no node is known"])
    }

    @Test func payloadsThatCannotBeReadAreCountedNotQuotedAndDoNotHideTheRest() {
        var messages = ["farm/barn-1/status": online]
        for index in 0..<30 {
            messages["farm/bad-\(index)/status"] = index % 2 == 0 ? "secret garbage" : "[1]"
        }
        let report = report(messages)
        #expect(report.rows.count == 1)
        #expect(report.problems.count == 21)
        #expect(report.problems.last == "10 more payloads cannot be read")
        #expect(!report.problems.contains { $0.contains("secret") })
    }

    @Test(arguments: [
        "other/topic", "fleet/v1/farm", "fleet/v1/FARM/x/status", "fleet/v1/farm/_all/cmd/ping/1",
        "fleet/v1/farm/barn-1/m/temp", "fleet/v2/farm/barn-1/status", "", "fleet/v1/a/b/\u{1B}[2J",
    ])
    func topicsOfOthersAreIgnored(_ topic: String) {
        var view = FleetView()
        view.take(topic: Array(topic.utf8), payload: Array(online.utf8))
        #expect(view.nodes.isEmpty)
        #expect(view.unreadableCount == 0)
    }

    @Test func askedForOneNodeItsSitesLinkStillDecides() throws {
        let key = FleetView.Key(site: try Site("farm"), node: try NodeName("barn-1"))
        let messages = ["farm/barn-1/status": online, "farm/gateway/link/cloud": will]
        let cutOff = report(messages, only: key)
        #expect(cutOff.rows.map(\.state) == [.unknown])
        #expect(cutOff.rows.map(\.key) == [key])
    }
}

@Suite struct StatusFilterTests {
    @Test func everyRetainedChannelIsAskedForByItsOwnFilter() {
        let channels = ["status", "link/+", "info", "health", "service/+"]
        #expect(StatusFilters(.fleet).all == channels.map { "fleet/v1/+/+/\($0)" })
        #expect(
            StatusFilters(.fleet, values: true).all
                == (channels + ["state", "state/+"]).map { "fleet/v1/+/+/\($0)" })
    }

    @Test func oneNodesTopicsAreAskedForOneByOneAndTheSitesLinksWithThem() throws {
        let scope = StatusFilters.Scope.node(try Site("farm"), try NodeName("barn-1"))
        #expect(
            StatusFilters(scope, values: true).all == [
                "fleet/v1/farm/barn-1/status", "fleet/v1/farm/+/link/+",
                "fleet/v1/farm/barn-1/info", "fleet/v1/farm/barn-1/health",
                "fleet/v1/farm/barn-1/service/agent", "fleet/v1/farm/barn-1/service/bridge",
                "fleet/v1/farm/barn-1/service/broker", "fleet/v1/farm/barn-1/state",
                "fleet/v1/farm/barn-1/state/2", "fleet/v1/farm/barn-1/state/3",
            ])
    }
}
