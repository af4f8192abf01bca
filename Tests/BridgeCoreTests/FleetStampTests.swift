import MQTT
import Testing

@testable import BridgeCore

@Suite("What a bridge adds to a message")
struct FleetStampTests {
    /// One message through the bridge, sent `seconds` after it was taken.
    private func forwarded(
        _ message: ArrivingMessage, after seconds: Double = 0, from side: Side = .edge,
        connectedFirst: Bool = true
    ) throws -> ForwardedMessage? {
        var store = ModelStore(epoch: 0xAB)
        let bridge = try TestBridge(over: store)
        let other: Side = side == .edge ? .upstream : .edge
        if connectedFirst { bridge.connected(other, LinkLimits(), now: .at(0)) }
        bridge.received(message, from: side, now: .at(10))
        bridge.settle(&store, now: .at(10))
        if !connectedFirst { bridge.connected(other, LinkLimits(), now: .at(10 + seconds)) }
        return bridge.messages(to: other, now: .at(10 + seconds)).first
    }

    @Test("is epoch, route, number and time, behind the properties it came with")
    func fleetProperty() throws {
        var properties = MessageProperties()
        properties.userProperties = [UserProperty("z", "1"), UserProperty("a", "2")]
        properties.contentType = Array("x/y".utf8)
        let message = try #require(
            try forwarded(ArrivingMessage("fleet/v1/farm/n/m/t", properties: properties)))
        let time = Moment.at(10).unixMilliseconds
        #expect(message.properties.contentType == Array("x/y".utf8))
        #expect(
            message.properties.userProperties == [
                UserProperty("z", "1"), UserProperty("a", "2"),
                UserProperty("fleet", "00000000000000ab:up:1:\(time)"),
            ])
        #expect(message.topicText == "fleet/v1/farm/n/m/t")
    }

    @Test("marks what waited for a connection as history")
    func history() throws {
        let message = try #require(
            try forwarded(ArrivingMessage("fleet/v1/farm/n/m/t"), connectedFirst: false))
        #expect(message.fleet.last == "h")
    }

    @Test("names the origin where the topic does not, and only upwards")
    func origin() throws {
        let up = try #require(try forwarded(ArrivingMessage("plant/line1")))
        #expect(up.properties.userProperties.last == UserProperty("fleet-origin", "farm/gate"))
        let down = try #require(try forwarded(ArrivingMessage("plant/line1"), from: .upstream))
        #expect(down.fleet.prefix(2) == ["00000000000000ab", "down"])
        #expect(down.properties.userProperties.count == 1)
    }

    @Test("lowers the message expiry by the seconds in the store, and ends it at nothing")
    func expiry() throws {
        var properties = MessageProperties()
        properties.messageExpiryInterval = 60
        let message = ArrivingMessage("a", properties: properties)
        #expect(try forwarded(message, after: 0.9)?.properties.messageExpiryInterval == 60)
        #expect(try forwarded(message, after: 59.9)?.properties.messageExpiryInterval == 1)
        #expect(try forwarded(message, after: 60) == nil)
    }

    @Test("an age is never negative, and crosses a restart of the machine by the wall clock")
    func age() {
        let taken = Taken(unixMilliseconds: 5_000, uptimeMilliseconds: 100_000, boot: 1)
        let later = Moment(
            monotonic: MonotonicTime(nanoseconds: 160_000 * 1_000_000), unixMilliseconds: 4_000)
        #expect(taken.ageMilliseconds(at: later, boot: 1) == 60_000)
        #expect(taken.ageMilliseconds(at: later, boot: 2) == 0)
        let reboot = Moment(monotonic: .zero, unixMilliseconds: 9_000)
        #expect(taken.ageMilliseconds(at: reboot, boot: 2) == 4_000)
        #expect(taken.ageMilliseconds(at: reboot, boot: 1) == 0)
    }
}
