import MQTT

/// Says in a line what a packet holds, in the words of `Tests/Vectors`.
struct WireDescription {
    let source: [UInt8]

    func describe(_ packet: Packet) -> String {
        switch packet {
        case .connect(let packet): connect(packet)
        case .connAck(let packet):
            join(
                "connAck", packet.sessionPresent ? "session" : "", code(packet.reasonCode),
                braces(packet.properties))
        case .publish(let packet): publish(packet)
        case .pubAck(let packet): acknowledgement("pubAck", packet)
        case .pubRec(let packet): acknowledgement("pubRec", packet)
        case .pubRel(let packet): acknowledgement("pubRel", packet)
        case .pubComp(let packet): acknowledgement("pubComp", packet)
        case .subscribe(let packet): subscribe(packet)
        case .subAck(let packet):
            join(
                "subAck id=\(packet.packetID)", braces(packet.properties),
                codes(packet.reasonCodes))
        case .unsubscribe(let packet): unsubscribe(packet)
        case .unsubAck(let packet):
            join(
                "unsubAck id=\(packet.packetID)", braces(packet.properties),
                codes(packet.reasonCodes))
        case .pingReq: "pingReq"
        case .pingResp: "pingResp"
        case .disconnect(let packet):
            join("disconnect", code(packet.reasonCode), braces(packet.properties))
        case .auth(let packet): join("auth", code(packet.reasonCode), braces(packet.properties))
        }
    }

    private func connect(_ packet: Connect) -> String {
        join(
            "connect v\(packet.version.rawValue)", packet.isBridge ? "bridge" : "",
            packet.cleanStart ? "clean" : "", "keepAlive=\(packet.keepAlive)",
            "id=\(text(packet.clientID))", braces(packet.properties),
            packet.will.map(will) ?? "", packet.username.map { "user=\(text($0))" } ?? "",
            packet.password.map { "password=\(text($0))" } ?? "")
    }

    private func will(_ will: Will) -> String {
        let inner = join(
            "q\(will.qos.rawValue)", will.retain ? "retain" : "", text(will.topic),
            text(will.payload), braces(will.properties))
        return "will=[\(inner)]"
    }

    private func publish(_ packet: Publish) -> String {
        join(
            "publish q\(packet.qos.rawValue)", packet.duplicate ? "dup" : "",
            packet.retain ? "retain" : "", packet.packetID.map { "id=\($0)" } ?? "",
            text(packet.topic), text(packet.payload), braces(packet.properties))
    }

    private func acknowledgement(_ name: String, _ packet: Acknowledgement) -> String {
        join(
            "\(name) id=\(packet.packetID)", code(packet.reasonCode), braces(packet.properties))
    }

    private func subscribe(_ packet: Subscribe) -> String {
        var words = ["subscribe id=\(packet.packetID)", braces(packet.properties)]
        var requests = packet.makeIterator()
        var count = 0
        while let request = requests.next(in: source.span) {
            let options = request.options
            let handling = options.retainHandling.rawValue
            let inner = join(
                text(request.filter), "q\(options.qos.rawValue)", options.noLocal ? "nl" : "",
                options.retainAsPublished ? "rap" : "", handling > 0 ? "rh\(handling)" : "")
            words.append("[\(inner)]")
            count += 1
        }
        if count != packet.filterCount { words.append("filterCount=\(packet.filterCount)") }
        return join(words)
    }

    private func unsubscribe(_ packet: Unsubscribe) -> String {
        var words = ["unsubscribe id=\(packet.packetID)", braces(packet.properties)]
        var filters = packet.makeIterator()
        var count = 0
        while let filter = filters.next(in: source.span) {
            words.append("[\(text(filter))]")
            count += 1
        }
        if count != packet.filterCount { words.append("filterCount=\(packet.filterCount)") }
        return join(words)
    }

    private func braces(_ properties: Properties) -> String {
        var words: [String] = []
        var iterator = properties.makeIterator()
        while let property = iterator.next(in: source.span) {
            switch property.value {
            case .integer(let value): words.append("\(property.identifier)=\(value)")
            case .bytes(let range): words.append("\(property.identifier)=\(text(range))")
            case .pair(let name, let value):
                words.append("\(property.identifier)=\(text(name)):\(text(value))")
            }
        }
        return words.isEmpty ? "" : "{\(join(words))}"
    }

    private func code(_ code: ReasonCode) -> String { "rc=" + hex(code.rawValue) }

    private func codes(_ range: ByteRange) -> String {
        range.isEmpty ? "" : "codes=0x" + source[range.range].map(hex).joined()
    }

    /// Quoted if printable, else hex; a long run of one byte as `61*300`.
    private func text(_ range: ByteRange) -> String {
        let bytes = source[range.range]
        if let first = bytes.first, bytes.count > 64, bytes.allSatisfy({ $0 == first }) {
            return "\(hex(first))*\(bytes.count)"
        }
        let isPrintable = bytes.allSatisfy { 0x20...0x7E ~= $0 && $0 != 0x22 && $0 != 0x7C }
        guard isPrintable else { return "0x" + bytes.map(hex).joined() }
        return "\"" + String(decoding: bytes, as: UTF8.self) + "\""
    }

    private func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return byte < 16 ? "0" + digits : digits
    }

    private func join(_ words: String...) -> String { join(words) }

    private func join(_ words: [String]) -> String {
        words.filter { !$0.isEmpty }.joined(separator: " ")
    }
}
