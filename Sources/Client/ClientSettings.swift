import Config
import IO
import MQTT
import TLS

/// How a daemon logs in to a broker and speaks to it, as a table of its configuration says: `[broker]` of an
/// agent, `[edge]` and `[upstream]` of a bridge.
public struct ClientSettings: Hashable, Sendable {
    public var user: String?
    public var password: [UInt8]?
    public var tls = TLSClientConfiguration()
    public var version: ClientProtocol
    public var keepAlive: Duration
    /// As the files of TLS were: other contents below the same paths are other settings, for a reload.
    private let tlsFiles: [FileStatus?]

    /// Bytes of a password file.
    private static let maximumPasswordFile = 64 * 1024

    /// - Parameters:
    ///   - url: names the user where no key does; `nil` where the configuration lacks it.
    ///   - version: what is spoken whatever happens; `nil`: as the key `version` says.
    public init(
        _ reader: ConfigurationReader, url: BrokerURL?, version: ClientProtocol? = nil,
        keepAlive standard: Duration
    ) {
        user = reader.string("user") ?? url?.user
        password = Self.readPassword(reader)
        tls.caFile = reader.path("ca_file")
        tls.certificateFile = reader.secretPath("client_certificate")
        tls.keyFile = reader.secretPath("client_key")
        if (tls.certificateFile == nil) != (tls.keyFile == nil) {
            let missing = tls.keyFile == nil ? "client_key" : "client_certificate"
            reader.reportMissing(missing, hint: "certificate and key come together")
        }
        tlsFiles = [tls.caFile, tls.certificateFile, tls.keyFile].map { path in
            path.flatMap { try? Files.status($0) }
        }
        self.version = version ?? reader.parsed("version", default: "auto", parse: Self.version)
        keepAlive = reader.duration(
            "keep_alive", default: standard, in: .seconds(1)...(.seconds(18 * 3_600)))
    }

    private static func version(_ text: String) throws -> ClientProtocol {
        switch text {
        case "auto": .automatic
        case "5", "5.0": .exactly(.v5_0)
        case "3.1.1": .exactly(.v3_1_1)
        default: throw ConfigurationProblem("must be \"auto\", \"5\" or \"3.1.1\"")
        }
    }

    private static func readPassword(_ reader: ConfigurationReader) -> [UInt8]? {
        guard let path = reader.secretPath("password_file") else { return nil }
        do throws(IOError) {
            var password = try Files.readPrivate(path, limit: maximumPasswordFile)
            while let last = password.last, last == 0x0A || last == 0x0D { password.removeLast() }
            return password
        } catch {
            reader.problem("password_file", "\(error)")
            return nil
        }
    }

    /// Reads the files of TLS, to say now what is wrong with them.
    public func checkFiles(_ url: BrokerURL) throws(ConfigurationError) {
        guard url.usesTLS else { return }
        do throws(TLSError) {
            _ = try TLSContext(client: tls)
        } catch {
            throw ConfigurationError([ConfigurationProblem("\(url): \(error)")])
        }
    }

    /// The configuration of a client that speaks so.
    public func configuration(
        _ url: BrokerURL, _ session: ClientSessionConfiguration
    ) -> MQTTClientConfiguration {
        var session = session
        session.version = version
        session.username = user
        session.password = password
        session.keepAliveSeconds = UInt16(clamping: keepAlive.components.seconds)
        var configuration = MQTTClientConfiguration(url: url, session: session)
        configuration.tls = tls
        return configuration
    }
}
