import Glibc
import IO
import Testing

/// Keys and certificates, made by `openssl` at run time in a temporary folder, once for all tests.
final class Certificates: Sendable {
    static let shared: Certificates = {
        do {
            return try Certificates()
        } catch {
            preconditionFailure("openssl(1) must make the tests' certificates: \(error)")
        }
    }()

    let folder: String

    private static var folderName: String { "/tmp/fleet-tls-tests-\(getpid())" }

    struct Failed: Error {
        var command: String
    }

    init() throws {
        folder = Self.folderName
        try Files.makeFolder(folder, mode: 0o700)
        // Removed when the tests end. SAFETY: the command is lent for the call.
        atexit { _ = unsafe system("rm -r '\(Certificates.folderName)'") }
        try makeAuthority("ca")
        try makeAuthority("stranger")
        try shell(
            "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ndefault_md=sha256\\n"
                + "default_crl_days=2\\nnew_certs_dir=.\\nrand_serial=yes\\npolicy=p\\n"
                + "[p]\\ncommonName=supplied\\n' > ca.cnf; : > index")
        try issue("server", by: "ca", names: "DNS:localhost,IP:127.0.0.1,IP:::1")
        try issue("elsewhere", by: "ca", names: "DNS:broker.example")
        try issueExpired("expired", names: "DNS:localhost")
        try issue("client", by: "ca", names: "DNS:client", commonName: "barn-agent")
        try issue("intruder", by: "stranger", names: "DNS:client", commonName: "barn-agent")
        try openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                + "-subj /CN=localhost -addext subjectAltName=DNS:localhost "
                + "-keyout self.key -out self.pem")
        try revoke("client")
    }

    func path(_ name: String) -> String { folder + "/" + name }

    private func makeAuthority(_ name: String) throws {
        try openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                + "-subj /CN=\(name) -keyout \(name).key -out \(name).pem")
    }

    private func issue(
        _ name: String, by authority: String, names: String, commonName: String? = nil
    ) throws {
        try request(name, names: names, commonName: commonName ?? name)
        try openssl(
            "x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority).key "
                + "-CAcreateserial -days 2 -extfile \(name).ext -out \(name).pem")
    }

    /// By `openssl ca`, which takes a time of the past in every version; `x509 -req` of 3.6 refuses a
    /// negative number of days.
    private func issueExpired(_ name: String, names: String) throws {
        try request(name, names: names, commonName: name)
        try openssl(
            "ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in \(name).csr "
                + "-startdate 20200101000000Z -enddate 20200102000000Z "
                + "-extfile \(name).ext -notext -out \(name).pem")
    }

    private func request(_ name: String, names: String, commonName: String) throws {
        try openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                + "-subj /CN=\(commonName) -keyout \(name).key -out \(name).csr")
        try shell("printf 'subjectAltName=\(names)\\n' > \(name).ext")
    }

    private func revoke(_ name: String) throws {
        try openssl("ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out empty.crl")
        try openssl("ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke \(name).pem")
        try openssl("ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out revoked.crl")
    }

    private func openssl(_ arguments: String) throws {
        try shell("openssl \(arguments)")
    }

    static func shell(_ command: String) {
        // SAFETY: the command is lent for the call.
        _ = unsafe system(command)
    }

    private func shell(_ command: String) throws {
        // SAFETY: the command is lent for the call.
        let status = unsafe system("cd \(folder) && { \(command); } >> log 2>&1")
        guard status == 0 else { throw Failed(command: command) }
    }
}
