import MQTT
import Testing

@Suite struct WireSmokeTests {
    @Test func aPublishBuiltFromScratchIsDecodedAgain() throws {
        var arena: [UInt8] = Array("fleet/v1/atopayload".utf8)
        var writer = PropertyWriter()
        writer.add(.messageExpiryInterval, uint32: 60)
        writer.addUserProperty(name: "k", value: "v")
        let publish = Publish(
            qos: .atLeastOnce, topic: ByteRange(0..<12), packetID: 10,
            properties: writer.append(to: &arena), payload: ByteRange(12..<19))
        var buffer = ByteBuffer()
        publish.encode(from: arena.span, version: .v5_0, into: &buffer)
        try buffer.withSpan { (bytes) throws in
            var decoder = PacketDecoder(receiver: .server, version: .v5_0)
            let decoded = try #require(try decoder.decode(bytes))
            #expect(decoded.end == bytes.count)
            guard case .publish(let again) = decoded.packet else {
                Issue.record("not a PUBLISH")
                return
            }
            #expect(again.packetID == 10)
            #expect(again.payload.count == 7)
            #expect(again.properties.uint32(.messageExpiryInterval, in: bytes) == 60)
        }
    }
}
