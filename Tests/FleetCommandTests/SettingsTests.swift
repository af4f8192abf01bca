import ArgumentParser
import Client
import Config
import IO
import MQTT
import Testing

@testable import fleet

@Suite struct SettingsTests {
    private func sources(
        _ environment: [String: String] = [:], prompt: String? = nil
    ) -> BrokerSettings.Sources {
        BrokerSettings.Sources(
            environment: { environment[$0] }, askSecret: { _ in prompt.map { Array($0.utf8) } })
    }

    private func settings(
        _ arguments: [String], _ sources: BrokerSettings.Sources
    ) throws -> BrokerSettings {
        try BrokerSettings(try ConnectionOptions.parse(arguments), sources)
    }

    private func problem(
        _ arguments: [String], _ sources: BrokerSettings.Sources
    ) -> FleetError? {
        do {
            _ = try settings(arguments, sources)
            return nil
        } catch {
            return error as? FleetError
        }
    }

    private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
        let random = SystemRandom.bytes(8).map { String($0, radix: 16) }.joined()
        let folder = "/tmp/fleet-command-test-\(random)"
        try Files.makeFolder(folder)
        try Files.makeFolder(folder + "/fleet")
        defer {
            for name in ["/fleet/config.toml", "/fleet/secret", "/fleet", ""] {
                try? Files.remove(folder + name)
            }
        }
        return try body(folder)
    }

    private func write(_ text: String, _ path: String, mode: UInt32 = 0o600) throws {
        try Files.writeAtomically(path, Array(text.utf8).span, mode: mode)
    }

    @Test func thePasswordComesFromTheFlagsFileThenTheEnvironmentThenThePrompt() throws {
        try withFolder { folder in
            let file = folder + "/fleet/secret"
            try write("from file\n", file)
            let both = sources(["FLEET_PASSWORD": "from environment"], prompt: "typed")
            let url = ["--broker", "mqtts://me@localhost"]
            let fromFile = try settings(url + ["--password-file", file], both)
            #expect(fromFile.password == Array("from file".utf8))
            #expect(try settings(url, both).password == Array("from environment".utf8))
            #expect(try settings(url, sources(prompt: "typed")).password == Array("typed".utf8))
            #expect(try settings(url, sources()).password == nil)
        }
    }

    @Test func nobodyIsAskedForAPasswordWithoutAUser() throws {
        let asked = sources(prompt: "typed")
        #expect(try settings(["--broker", "mqtt://localhost"], asked).password == nil)
    }

    @Test func aPasswordFileThatOthersCanReadIsRefusedWithWhatToDo() throws {
        try withFolder { folder in
            let file = folder + "/fleet/secret"
            try write("x", file, mode: 0o644)
            let error = problem(
                ["--broker", "mqtts://me@localhost", "--password-file", file], sources())
            #expect(error?.description.contains("chmod 640 \(file)") == true)
        }
    }

    @Test func aPasswordInTheURLIsRefusedAndNotRepeated() {
        let error = problem(["--broker", "mqtts://me:hunter2@localhost"], sources())
        #expect(error != nil)
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test func aPasswordFileWithoutAUserIsAnError() {
        let error = problem(
            ["--broker", "mqtts://localhost", "--password-file", "/nowhere"], sources())
        #expect(error?.hint == "write --broker mqtts://USER@localhost")
    }

    @Test func withoutAContextItIsTheBrokerOfThisMachine() throws {
        for environment in [["HOME": "/nowhere"], [:]] {
            let settings = try settings([], sources(environment))
            #expect(settings.url.description == "mqtt://localhost")
            #expect(settings.url.port == 1883)
            let failure = FleetError(ClientFailure(.unreachable, "refused"), settings)
            #expect(failure.hint.contains("--broker"))
            #expect(failure.hint.contains("config.toml"))
        }
    }

    @Test func aContextGivesBrokerCAAndPasswordFileAndFlagsWin() throws {
        try withFolder { folder in
            try write(
                """
                [context.farm]
                broker = "mqtts://me@cloud.example:8884"
                ca_file = "ca.pem"
                password_file = "secret"
                default = true
                [context.home]
                broker = "mqtt://127.0.0.1"
                """, folder + "/fleet/config.toml")
            try write("s\r\n", folder + "/fleet/secret")
            let here = sources(["XDG_CONFIG_HOME": folder, "HOME": "/nowhere"])
            let farm = try settings([], here)
            #expect(farm.url.description == "mqtts://me@cloud.example:8884")
            #expect(farm.caFile == folder + "/fleet/ca.pem")
            #expect(farm.password == [0x73])
            #expect(try settings(["--ca-file", "/x"], here).caFile == "/x")
            #expect(try settings(["--context", "home"], here).url.port == 1883)
            let mistyped = problem(["--context", "hom"], here)
            #expect(mistyped?.hint == "did you mean home?")
        }
    }

    @Test func contextsThatCannotBeReadSayWhere() throws {
        let document = try ConfigurationDocument(
            text: "[context.a]\nbrokr = \"x\"\n", name: "c.toml")
        do {
            _ = try BrokerContext.read(document)
            Issue.record("an unknown key was taken")
        } catch {
            #expect(error.description.contains("c.toml:2:1"))
            #expect(error.description.contains("broker"))
        }
    }

    @Test func twoDefaultsAreAnErrorAndSeveralWithoutOneToo() throws {
        let two = try ConfigurationDocument(
            text: """
                [context.a]
                broker = "mqtt://a"
                default = true
                [context.b]
                broker = "mqtt://b"
                default = true
                """, name: "c.toml")
        #expect(throws: ConfigurationError.self) { try BrokerContext.read(two) }
        let contexts = ["a", "b"].map {
            BrokerContext(
                name: $0, broker: "mqtt://\($0)", caFile: nil, passwordFile: nil, isDefault: false)
        }
        #expect(throws: FleetError.self) {
            try BrokerContext.choose(nil, from: contexts, path: nil)
        }
        #expect(try BrokerContext.choose(nil, from: [contexts[0]], path: nil).name == "a")
    }

    @Test(arguments: [
        ["pub", "a/+", "x"], ["pub", "a"], ["pub", "a", "x", "--file", "y"], ["sub"],
        ["sub", "a#"], ["sub", "a", "--count", "0"], ["sub", "a", "-q", "3"],
        ["sub", "a", "--timeout", "0s"], ["status", "--node", "n"],
        ["status", "--site", "UPPER"], ["status", "-o", "xml"], ["staus"],
        ["status", "--broker", "mqtt://a", "--context", "b"],
        ["pub", "--retain", "fleet/v1/farm/barn-1/cmd/ping/1", "{}"],
    ])
    func wrongUsageIsRefused(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try Fleet.parseAsRoot(arguments) }
    }

    @Test func timesAndQualitiesAreReadAsTheReferenceSays() {
        #expect(TimeSpan(argument: "500ms")?.duration == .milliseconds(500))
        #expect(TimeSpan(argument: "soon") == nil)
        #expect(QoSOption(argument: "2")?.qos == .exactlyOnce)
    }
}
