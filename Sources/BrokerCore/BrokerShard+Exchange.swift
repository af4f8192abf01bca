import MQTT

/// An enhanced authentication (5.0, 4.12): of a client that connects, or again of one that is connected.
///
/// Only the conversation is here; what is said in it is the shell's.
final class Exchange {
    /// The method that CONNECT named, for as long as the connection lasts. [MQTT-4.12.0-5]
    let method: [UInt8]
    /// CONNECT, to be taken again when its client is known; empty from then on.
    var connect: [UInt8] = []
    /// Who the client has proven to be.
    var user: [UInt8]?
    /// What the server proves in turn, for CONNACK.
    var data: [UInt8] = []
    /// The shell was asked; what the client sends meanwhile waits.
    var awaitsShell = false
    /// The client is to say more.
    var awaitsClient = false

    init(method: [UInt8]) { self.method = method }
}

/// What the shell says to a step of an enhanced authentication.
public enum ExchangeResult: Sendable, Equatable {
    /// The client is to answer this.
    case challenge([UInt8])
    case accepted(user: [UInt8], data: [UInt8])
    case refused
}

extension BrokerShard {
    /// CONNECT with an authentication method; false where it was refused or has to wait.
    mutating func beginExchange(
        _ connect: Connect, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) -> Bool {
        if connections[c].phase == .authenticated, connections[c].exchange != nil { return true }
        let properties = connect.properties
        // Where the transport has named the user, nobody proves to be another one.
        guard let range = properties.range(.authenticationMethod, in: source),
            !connections[c].rules.value.takesIdentity,
            connections[c].rules.value.authenticationMethods.contains(
                [UInt8](copying: source.extracting(range.range)))
        else {
            refuse(
                c, .badAuthenticationMethod, "MQTT-4.12.0-1",
                "the authentication method is not offered", now)
            return false
        }
        connections[c].phase = .exchanging
        connections[c].exchange = Exchange(
            method: [UInt8](copying: source.extracting(range.range)))
        ask(c, properties, source, isFirst: true)
        return false
    }

    /// AUTH from the client. [MQTT-4.12.0-3], [MQTT-4.12.1-1]
    mutating func take(
        _ auth: Auth, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        guard let exchange = connections[c].exchange else {
            return fail(
                c, .protocolError, "MQTT-4.12.0-6", "AUTH without an authentication method", now)
        }
        let method = auth.properties.range(.authenticationMethod, in: source)
        let begins = auth.reasonCode == .reAuthenticate
        let isInTurn =
            begins
            ? connections[c].phase == .connected && !exchange.awaitsClient
            : auth.reasonCode == .continueAuthentication && exchange.awaitsClient
        guard let method, isInTurn,
            [UInt8](copying: source.extracting(method.range)) == exchange.method
        else {
            return endExchange(
                c, .protocolError, "4.12", "AUTH out of turn, or of another method", now)
        }
        ask(c, auth.properties, source, isFirst: begins)
    }

    private mutating func ask(
        _ c: UInt32, _ properties: Properties, _ source: Span<UInt8>, isFirst: Bool
    ) {
        connections[c].exchange?.awaitsShell = true
        pauseReading(c)
        connections[c].exchange?.awaitsClient = false
        let data = properties.range(.authenticationData, in: source)
            .map { [UInt8](copying: source.extracting($0.range)) }
        act(
            .exchange(
                ConnectionID(connections.key(at: c)), data: data ?? [], isFirst: isFirst))
    }

    /// What the shell found.
    public mutating func exchanged(
        _ id: ConnectionID, _ result: ExchangeResult, at now: MonotonicTime
    ) {
        guard connections.contains(id.key), connections[id.index].phase != .closing,
            connections[id.index].exchange?.awaitsShell == true
        else { return }
        let c = id.index
        connections[c].exchange?.awaitsShell = false
        if connections[c].phase == .exchanging { resumeReading(c) }
        switch result {
        case .challenge(let data):
            connections[c].exchange?.awaitsClient = true
            sendAuth(c, .continueAuthentication, data)
        case .accepted(let user, let data): accept(user, data, c, now)
        case .refused:
            let isConnected = connections[c].phase == .connected
            endExchange(
                c, isConnected ? .notAuthorized : .badUserNameOrPassword, "MQTT-4.12.0-4",
                "the authentication failed", now)
        }
        if connections[c].phase != .closing { takeInput(c, now) }
        countConnecting(c, now)
        listenAgain(c, now)
    }

    private mutating func accept(
        _ user: [UInt8], _ data: [UInt8], _ c: UInt32, _ now: MonotonicTime
    ) {
        guard connections[c].phase != .connected else {
            guard sessions[connections[c].session].owner == user else {
                // [MQTT-4.12.1-2]
                return endExchange(
                    c, .notAuthorized, "MQTT-4.12.1-2", "another user than before", now)
            }
            return sendAuth(c, .success, data)
        }
        let connect = connections[c].exchange?.connect ?? []
        connections[c].exchange?.connect = []
        connections[c].exchange?.user = user
        connections[c].exchange?.data = data
        connections[c].phase = .authenticated
        _ = takePackets(connect.span, c, now)
    }

    /// What CONNACK says of it. [MQTT-4.12.0-5]
    func add(exchangeOf c: UInt32, to writer: inout PropertyWriter) {
        guard let exchange = connections.read(c, { $0.exchange }) else { return }
        let (method, data) = (exchange.method, exchange.data)
        writer.add(.authenticationMethod, bytes: method.span)
        if !data.isEmpty { writer.add(.authenticationData, bytes: data.span) }
    }

    /// A failed authentication ends the connection: with CONNACK, or DISCONNECT where it has begun.
    private mutating func endExchange(
        _ c: UInt32, _ reason: ReasonCode, _ clause: String, _ detail: String,
        _ now: MonotonicTime
    ) {
        if connections[c].phase == .connected {
            fail(c, reason, clause, detail, now)
        } else {
            refuse(c, reason, clause, detail, now)
        }
    }

    /// AUTH, as far as the client takes it. [MQTT-3.1.2-24]
    private mutating func sendAuth(_ c: UInt32, _ reason: ReasonCode, _ data: [UInt8]) {
        guard let method = connections[c].exchange?.method else { return }
        var writer = PropertyWriter()
        writer.add(.authenticationMethod, bytes: method.span)
        if !data.isEmpty { writer.add(.authenticationData, bytes: data.span) }
        guard writer.bytes.count + 8 <= connections[c].maximumPacketSize else { return }
        let packet = Auth(reasonCode: reason, properties: writer.properties)
        packet.encode(from: writer.bytes.span, version: .v5_0, into: &connections[c].output)
        markDirty(c)
    }
}
