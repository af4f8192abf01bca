import MQTT

extension BrokerShard {
    /// Decodes packets in place and does what each asks. Returns how many bytes were used; what is
    /// left is a part of a packet, or waits with the CONNECT before it for a password check.
    mutating func takePackets(_ bytes: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime) -> Int {
        let used = takeEach(bytes, c, now)
        if mustPump {
            mustPump = false
            pump(connections[c].session, now)
        }
        return used
    }

    @inline(__always)
    private mutating func takeEach(
        _ bytes: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) -> Int {
        var offset = 0
        while offset < bytes.count {
            let decoded: DecodedPacket?
            do throws(WireError) {
                decoded = try connections[c].decoder.decode(bytes, from: offset)
            } catch {
                refuseBytes(error, bytes.extracting(offset..<bytes.count), c, now)
                return bytes.count
            }
            guard let decoded else { break }
            counters.packetsReceived &+= 1
            if connections[c].phase == .exchanging, refuseBeforeConnAck(decoded.packet, c, now) {
                return bytes.count
            }
            if case .publish(let publish) = decoded.packet {
                take(publish, ByteRange(offset..<decoded.end), bytes, c, now)
                if configuration.limits.hasPublishRate, connections[c].phase == .connected,
                    mustWait(decoded.end &- offset, c, now)
                {
                    return decoded.end
                }
                // It stays where it is, to be taken again.
                if connections[c].awaitsRoom { return offset }
            } else {
                take(decoded.packet, bytes, c, now)
                if case .connect = decoded.packet, connections[c].phase == .exchanging {
                    connections[c].exchange?.connect = [UInt8](
                        copying: bytes.extracting(offset..<decoded.end))
                }
                let keepsPacket =
                    connections[c].phase != .connected && connections[c].phase != .exchanging
                if connections[c].holdsInput && !keepsPacket {
                    connections[c].lastReceived = now
                    return decoded.end
                }
            }
            switch connections[c].phase {
            case .connected, .exchanging: offset = decoded.end
            case .closing: return bytes.count
            // CONNECT stays where it is, to be taken again.
            case .authenticating, .awaitingConnect, .moving, .authenticated: return offset
            }
        }
        if offset > 0 { connections[c].lastReceived = now }
        return offset
    }

    /// Between CONNECT with an authentication method and CONNACK a client sends AUTH or DISCONNECT only.
    /// [MQTT-3.1.2-30]
    private mutating func refuseBeforeConnAck(
        _ packet: Packet, _ c: UInt32, _ now: MonotonicTime
    ) -> Bool {
        switch packet {
        case .auth: return false
        case .disconnect:
            end(c, .byClient, now)
        default:
            refuse(
                c, .protocolError, "MQTT-3.1.2-30", "neither AUTH nor DISCONNECT before CONNACK",
                now)
        }
        return true
    }

    private mutating func take(
        _ packet: Packet, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        switch packet {
        case .connect(let connect): take(connect, source, c, now)
        case .publish: preconditionFailure("taken before")
        case .pubAck(let packet): takePubAck(packet, c, now)
        case .pubRec(let packet): takePubRec(packet, c, now)
        case .pubRel(let packet): takePubRel(packet, c)
        case .pubComp(let packet): takePubComp(packet, c, now)
        case .subscribe(let packet): take(packet, source, c, now)
        case .unsubscribe(let packet): take(packet, source, c, now)
        case .pingReq:
            // [MQTT-3.12.4-1]
            connections[c].output.append(PacketType.pingResp.rawValue << 4)
            connections[c].output.append(0)
            counters.controlPacketsSent &+= 1
            markDirty(c)
        case .disconnect(let packet): take(packet, source, c, now)
        case .auth(let packet): take(packet, source, c, now)
        case .connAck, .subAck, .unsubAck, .pingResp:
            fail(c, .protocolError, "2.1.2", "a packet that only a server sends", now)
        }
    }

    /// Bytes that are no packet, or none that may come now. [MQTT-4.8.0-1], [MQTT-4.13.1-1]
    private mutating func refuseBytes(
        _ error: WireError, _ bytes: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        let clause = error.clause.description
        let detail = error.detail.description
        guard connections[c].phase != .connected else {
            return fail(c, error.reasonCode, clause, detail, now)
        }
        // A CONNECT that was not understood is answered in the version that it claims, if it does.
        guard !Self.unanswered.contains(clause), let level = Self.protocolLevel(of: bytes) else {
            return end(c, .fault(error.reasonCode, clause: clause, detail: detail), now)
        }
        connections[c].decoder.version = level >= 5 && level < 0x80 ? .v5_0 : .v3_1_1
        refuse(c, error.reasonCode, clause, detail, now)
    }

    /// Another protocol is not answered in ours, nor bytes that do not even hold a client identifier.
    private static var unanswered: [String] { ["MQTT-3.1.2-1", "MQTT-3.1.3-3"] }

    /// The protocol level of a CONNECT, if the bytes hold one.
    private static func protocolLevel(of bytes: Span<UInt8>) -> UInt8? {
        guard bytes.count > 1, bytes[0] == PacketType.connect.rawValue << 4 else { return nil }
        var index = 1
        while index < min(bytes.count, 4), bytes[index] & 0x80 != 0 { index += 1 }
        index += 1
        guard index + 1 < bytes.count else { return nil }
        index += 2 + (Int(bytes[index]) << 8 | Int(bytes[index + 1]))
        return index < bytes.count ? bytes[index] : nil
    }
}
