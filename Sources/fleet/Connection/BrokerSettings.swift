import Client
import IO
import MQTT
import TLS

/// Where the broker is and how to log in: what flags, the context and the environment say together.
struct BrokerSettings {
    /// Where a secret comes from; a test puts its own in place.
    struct Sources: Sendable {
        var environment: @Sendable (String) -> String?
        var askSecret: @Sendable (_ prompt: String) throws(IOError) -> [UInt8]?

        static let process = Sources(
            environment: { ProcessEnvironment.value($0) },
            askSecret: { (prompt) throws(IOError) in try Terminal.askSecret(prompt) })
    }

    /// Bytes of a password file; MQTT takes no longer password.
    static let maximumPasswordBytes = 65_535

    let url: BrokerURL
    let caFile: String?
    let password: [UInt8]?
    let connectTimeout: Duration
    /// Nobody has named a broker.
    let isStandard: Bool

    init(_ options: ConnectionOptions, _ sources: Sources) throws(FleetError) {
        var broker = options.broker
        var context: BrokerContext?
        if broker == nil {
            let path = BrokerContext.path(environment: sources.environment)
            let contexts = try path.map { (path) throws(FleetError) in
                try BrokerContext.all(in: path)
            }
            let chosen = try BrokerContext.choose(
                options.context, from: contexts ?? [], path: path)
            broker = chosen.broker
            context = chosen
        }
        do throws(BrokerURLError) {
            url = try BrokerURL(broker ?? "")
        } catch {
            throw FleetError(error.problem, hint: error.hint)
        }
        isStandard = context == .ofThisMachine
        caFile = options.caFile ?? context?.caFile
        connectTimeout = options.connectTimeout.duration
        password = try Self.password(url, options, context, sources)
    }

    /// From the file that a flag names, the environment, the file that the context names, or the
    /// terminal: the first of these that there is.
    private static func password(
        _ url: BrokerURL, _ options: ConnectionOptions, _ context: BrokerContext?,
        _ sources: Sources
    ) throws(FleetError) -> [UInt8]? {
        guard let user = url.user else {
            if options.passwordFile == nil { return nil }
            throw FleetError(
                "a password needs a user name",
                hint: "write --broker \(url.naming(user: "USER"))")
        }
        do throws(IOError) {
            if let file = options.passwordFile { return try read(file) }
            if let password = sources.environment("FLEET_PASSWORD") { return Array(password.utf8) }
            if let file = context?.passwordFile { return try read(file) }
            return try sources.askSecret("Password of \(user) at \(url.host): ")
        } catch {
            throw FleetError("\(error)")
        }
    }

    /// The file's bytes without one line end at the end.
    private static func read(_ file: String) throws(IOError) -> [UInt8] {
        var bytes = try Files.readPrivate(file, limit: maximumPasswordBytes + 2)
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        return bytes
    }

    /// A client that leaves nothing behind on the broker.
    func clientConfiguration() -> MQTTClientConfiguration {
        let random = SystemRandom.bytes(6).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 0xF, radix: 16)
        }
        var session = ClientSessionConfiguration(clientID: "fleet-" + random.joined())
        session.version = .automatic
        session.password = password
        session.connectTimeout = connectTimeout
        session.maximumPacketSize = 256 << 20
        var configuration = MQTTClientConfiguration(url: url, session: session)
        configuration.tls = TLSClientConfiguration(caFile: caFile)
        configuration.connectTimeout = connectTimeout
        return configuration
    }
}
