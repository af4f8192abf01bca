import BrokerCore
import Daemon
import MQTT
import Testing

@testable import fleet_broker

private let process = ProcessFigures.read()

private func figures(_ change: (inout BrokerFigures) -> Void = { _ in }) -> BrokerFigures {
    var figures = BrokerFigures(
        shards: ShardFigures(), shardCount: 1,
        listeners: [
            ListenerFigures(
                name: "a \"b\"", address: "127.0.0.1:1883", scheme: "mqtt", connections: 2,
                accepted: 3, refused: 1)
        ],
        store: StoreFigures(), process: process, uptime: .seconds(75),
        now: MonotonicTime(nanoseconds: 100_000_000_000), clientsMaximum: 4, heapMaximum: 5)
    change(&figures)
    return figures
}

private func text(_ message: SystemTopics.Message) -> String {
    String(decoding: message.topic, as: UTF8.self) + " "
        + String(decoding: message.payload, as: UTF8.self)
}

@Suite struct SystemTopicsTests {
    @Test func `at first everything is said, then what has changed`() {
        var topics = SystemTopics()
        let first = topics.messages(figures())
        #expect(first.count > 60)
        #expect(Set(first.map { String(decoding: $0.topic, as: UTF8.self) }).count == first.count)
        #expect(first.map(text).contains("$SYS/broker/uptime 75 seconds"))
        #expect(topics.messages(figures()) == [])
        let changed = topics.messages(
            figures {
                $0.uptime = .seconds(85)
                $0.shards.retainedMessages = 7
                $0.store.state = .quarantined
                $0.store.quarantined = 1
            })
        #expect(
            Set(changed.map(text)) == [
                "$SYS/broker/uptime 85 seconds", "$SYS/broker/retained messages/count 7",
                "$SYS/broker/messages/stored 7", "$SYS/broker/store/messages/count 7",
                "$SYS/broker/store/state quarantined", "$SYS/broker/store/quarantined 1",
            ])
    }

    @Test func `loads follow the counters`() {
        var topics = SystemTopics()
        _ = topics.messages(figures())
        let changed = topics.messages(
            figures {
                $0.uptime = .seconds(135)
                $0.shards.counters.publishesReceived = 60
            })
        // A minute in which 60 came: 60 * (1 - 1/e) is about 37.93.
        #expect(changed.map(text).contains("$SYS/broker/load/publish/received/1min 37.93"))
    }
}

@Suite struct MetricsPageTests {
    @Test func `every counter of the broker's core is in the page`() throws {
        // Each counter has a value of its own, which must be found.
        var counters = BrokerCounters()
        let names = Mirror(reflecting: counters).children.compactMap(\.label)
        unsafe withUnsafeMutableBytes(of: &counters) { bytes in
            let words = unsafe bytes.bindMemory(to: UInt64.self)
            precondition(words.count == names.count, "a counter is no UInt64")
            for index in words.indices { unsafe words[index] = 7_000_001 + UInt64(index) * 13 }
        }
        let page = MetricsPage.make(figures { $0.shards.counters = counters })
        let lines = String(decoding: page.bytes, as: UTF8.self).split(separator: "\n")
        for (index, name) in names.enumerated() {
            let value = " \(7_000_001 + index * 13)"
            #expect(lines.contains { $0.hasSuffix(value) }, "\(name) is not in the page")
        }
        var sum = counters
        sum += counters
        for child in Mirror(reflecting: sum).children {
            let value = try #require(child.value as? UInt64)
            #expect(value > 14_000_000, "\(child.label ?? "") is not added up")
        }
    }

    @Test func `labels hold any text, and a store without figures has only its state`() {
        let page = MetricsPage.make(figures())
        let text = String(decoding: page.bytes, as: UTF8.self)
        #expect(
            text.contains(
                #"fleet_broker_listener_connections{listener="a \"b\"",address="127.0.0.1:1883","#
                    + #"protocol="mqtt"} 2"#))
        #expect(text.contains(#"fleet_broker_store_state{state="none"} 1"#))
        #expect(!text.contains("fleet_broker_store_commits_total"))
        let stored = MetricsPage.make(
            figures {
                $0.store.state = .ok
                $0.store.lastCommit = .milliseconds(5)
            })
        let more = String(decoding: stored.bytes, as: UTF8.self)
        #expect(more.contains("fleet_broker_store_commit_seconds 0.005\n"))
        #expect(more.contains(#"fleet_broker_store_state{state="ok"} 1"#))
    }
}
