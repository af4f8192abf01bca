import IO
import MQTT
import TLS

/// Why there is no connection, or none any more: what failed, and what can be done about it.
public struct ClientFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What can be told apart by a program.
    public enum Kind: Hashable, Sendable {
        /// The client's configuration cannot be used; it does not try again.
        case configuration
        case nameResolution
        /// No address of the host took the connection.
        case unreachable
        /// Something did not answer in its time.
        case timeout
        case certificateUntrusted
        case hostNameMismatch
        /// Any other failure of TLS.
        case tls
        case unsupportedVersion
        case badUserNameOrPassword
        case notAuthorized
        case clientIdentifierNotValid
        /// Any other refusal in CONNACK.
        case refused
        case disconnectedByServer
        case sessionTakenOver
        case protocolError
        /// The transport closed or failed under a connection.
        case connectionLost
        /// `stop` was called.
        case requested
    }

    public let kind: Kind
    /// What failed, without secrets.
    public let problem: String
    /// What can be done about it; empty when there is nothing.
    public let hint: String
    /// The server's reason code, where it gave one.
    public let reasonCode: ReasonCode?

    public init(_ kind: Kind, _ problem: String, hint: String = "", reasonCode: ReasonCode? = nil) {
        self.kind = kind
        self.problem = problem
        self.hint = hint
        self.reasonCode = reasonCode
    }

    /// One line for people.
    public var description: String { hint.isEmpty ? problem : "\(problem); \(hint)" }
}

extension ClientFailure {
    /// Whether the TLS files may be at fault.
    var isAboutTLS: Bool {
        switch kind {
        case .tls, .certificateUntrusted, .hostNameMismatch: true
        default: false
        }
    }

    /// What it means to people that no address took the connection.
    init(connecting error: ConnectError, broker: BrokerURL) {
        let kind: Kind =
            if error.attempts.isEmpty && !error.isTimedOut {
                .nameResolution
            } else if error.isTimedOut || error.attempts.allSatisfy({ $0.code == .timedOut }) {
                .timeout
            } else {
                .unreachable
            }
        self.init(kind, "\(error)")
    }

    /// What the transport's trouble means to people.
    init(transport error: TransportError, broker: BrokerURL) {
        switch error {
        case .tls(let error): self.init(tls: error, broker: broker)
        case .io(let error):
            self.init(
                error.code == .timedOut ? .timeout : .connectionLost,
                "the connection to \(broker) broke: \(error.code)", hint: error.hint)
        }
    }

    init(tls error: TLSError, broker: BrokerURL) {
        let kind: Kind =
            switch error.kind {
            case .hostMismatch: .hostNameMismatch
            case .unknownAuthority, .certificateExpired, .certificateNotYetValid,
                .certificateRevoked, .certificateRefused, .noCertificate:
                .certificateUntrusted
            case .file, .keyMismatch, .refusedByPeer, .notTLS, .nothingInCommon,
                .closedInHandshake, .wrongKey, .other:
                .tls
            }
        let about = error.subject.isEmpty ? "" : "\(error.subject): "
        self.init(
            kind, "no TLS connection to \(broker): \(about)\(error.reason)", hint: error.hint)
    }

    /// What a session's end means to people; `broker` names the server.
    init(_ end: SessionEnd, broker: BrokerURL, version: ProtocolVersion) {
        switch end {
        case .requested:
            self.init(.requested, "disconnected from \(broker)")
        case .refused(let code, let text, let reference, let fallback):
            self = .refused(code, text, reference, fallback, broker, version)
        case .disconnectedByServer(let code, let text, let reference):
            self = .disconnected(code, text, reference, broker)
        case .protocolError(let code, let clause, let detail):
            self.init(
                .protocolError, "\(broker) broke the protocol: \(detail) (\(clause))",
                hint: "report it to whoever runs or makes that broker", reasonCode: code)
        case .connectTimeout:
            self.init(
                .timeout, "\(broker) took the connection, but did not answer CONNECT",
                hint: "check that an MQTT broker listens there, and that \(Self.tlsHint(broker))")
        case .pingTimeout:
            self.init(
                .timeout, "\(broker) does not answer any more",
                hint: "the link or the broker is down")
        case .transportClosed:
            self.init(.connectionLost, "\(broker) closed the connection")
        }
    }

    private static func tlsHint(_ broker: BrokerURL) -> String {
        broker.usesTLS ? "it expects TLS" : "it expects no TLS (else write mqtts://)"
    }

    private static func refused(
        _ code: ReasonCode, _ text: String?, _ reference: String?, _ fallback: ProtocolVersion?,
        _ broker: BrokerURL, _ version: ProtocolVersion
    ) -> ClientFailure {
        let says = text.map { ": \($0)" } ?? ""
        switch code {
        case .unsupportedProtocolVersion:
            let other = version == .v5_0 || fallback != nil ? "3.1.1" : "5.0"
            return ClientFailure(
                .unsupportedVersion, "\(broker) does not speak this version of MQTT\(says)",
                hint: fallback == nil ? "set the version to \(other)" : "trying \(other)",
                reasonCode: code)
        case .badUserNameOrPassword:
            return ClientFailure(
                .badUserNameOrPassword, "\(broker) refuses user name or password\(says)",
                hint: "check both against the broker's password file", reasonCode: code)
        case .notAuthorized, .banned:
            return ClientFailure(
                .notAuthorized, "\(broker) does not allow this client to connect\(says)",
                hint: "check that user name and password are set, and the broker's access rules",
                reasonCode: code)
        case .clientIdentifierNotValid:
            return ClientFailure(
                .clientIdentifierNotValid, "\(broker) refuses the client identifier\(says)",
                hint: "choose another one", reasonCode: code)
        case .useAnotherServer, .serverMoved:
            return ClientFailure(
                .refused, "\(broker) sends clients to another server\(says)",
                hint: reference.map { "use \($0)" } ?? "ask whoever runs it", reasonCode: code)
        case .qosNotSupported:
            return ClientFailure(
                .refused, "\(broker) takes messages at QoS 0 only, which proves nothing\(says)",
                hint: "allow QoS 1 there", reasonCode: code)
        default:
            return ClientFailure(
                .refused, "\(broker) refuses the connection: \(code.name)\(says)", reasonCode: code)
        }
    }

    private static func disconnected(
        _ code: ReasonCode, _ text: String?, _ reference: String?, _ broker: BrokerURL
    ) -> ClientFailure {
        let says = text.map { ": \($0)" } ?? ""
        switch code {
        case .sessionTakenOver:
            return ClientFailure(
                .sessionTakenOver, "\(broker) gave the session to another connection\(says)",
                hint: "look for a second client with the same client identifier", reasonCode: code)
        case .useAnotherServer, .serverMoved:
            return ClientFailure(
                .disconnectedByServer, "\(broker) sends clients to another server\(says)",
                hint: reference.map { "use \($0)" } ?? "ask whoever runs it", reasonCode: code)
        default:
            return ClientFailure(
                .disconnectedByServer, "\(broker) ended the connection: \(code.name)\(says)",
                reasonCode: code)
        }
    }
}
