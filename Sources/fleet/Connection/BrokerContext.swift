import Config
import IO

/// A broker that the user has given a name in `config.toml`.
struct BrokerContext: Hashable {
    let name: String
    let broker: String
    let caFile: String?
    let passwordFile: String?
    let isDefault: Bool

    /// The broker of this machine: where nobody has named one.
    static let ofThisMachine = BrokerContext(
        name: "", broker: "mqtt://localhost:1883", caFile: nil, passwordFile: nil, isDefault: true)

    /// `$XDG_CONFIG_HOME/fleet/config.toml`, else `~/.config/fleet/config.toml`; nil without either
    /// variable (XDG Base Directory Specification).
    static func path(environment: (String) -> String?) -> String? {
        if let folder = environment("XDG_CONFIG_HOME"), folder.hasPrefix("/") {
            return folder + "/fleet/config.toml"
        }
        guard let home = environment("HOME"), home.hasPrefix("/") else { return nil }
        return home + "/.config/fleet/config.toml"
    }

    /// The contexts of a file, in its order; none where there is no file.
    static func all(in path: String) throws(FleetError) -> [BrokerContext] {
        guard Files.exists(path) else { return [] }
        do throws(ConfigurationError) {
            return try read(ConfigurationDocument.load(path, dropIns: false))
        } catch {
            throw FleetError("\(error)")
        }
    }

    static func read(
        _ document: ConfigurationDocument
    ) throws(ConfigurationError) -> [BrokerContext] {
        let root = ConfigurationReader(document)
        let table = root.table("context")
        var contexts: [BrokerContext] = []
        for name in names(document) {
            let reader = table.table(name)
            let broker = reader.required("broker", hint: "write mqtts://user@host:8883")
            contexts.append(
                BrokerContext(
                    name: name, broker: broker, caFile: reader.path("ca_file"),
                    passwordFile: reader.path("password_file"),
                    isDefault: reader.boolean("default", default: false)))
            if contexts.count(where: \.isDefault) > 1, contexts.last?.isDefault == true {
                reader.problem("default", "another context is the default already")
            }
        }
        try root.finish()
        return contexts
    }

    private static func names(_ document: ConfigurationDocument) -> [String] {
        guard case .table(let table)? = document.root["context"]?.content else { return [] }
        return table.entries.map(\.key)
    }

    /// The context called `name`, else the default one, else the only one; without any, this machine's broker.
    static func choose(
        _ name: String?, from contexts: [BrokerContext], path: String?
    ) throws(FleetError) -> BrokerContext {
        let place = path ?? "~/.config/fleet/config.toml"
        if let name {
            if let found = contexts.first(where: { $0.name == name }) { return found }
            let names = contexts.map(\.name)
            let meant = NearestName.suggestion(for: name, among: names)
            throw FleetError(
                "there is no context \(name) in \(place)",
                hint: meant.map { "did you mean \($0)?" }
                    ?? (names.isEmpty
                        ? "add [context.\(name)] with broker = \"mqtts://user@host:8883\""
                        : "there are: \(names.joined(separator: ", "))"))
        }
        if let standard = contexts.first(where: \.isDefault) { return standard }
        if contexts.count == 1 { return contexts[0] }
        guard contexts.isEmpty else {
            let names = contexts.map(\.name).joined(separator: ", ")
            throw FleetError(
                "\(place) has several contexts and no default",
                hint: "choose one with --context (\(names)), or write default = true into one")
        }
        return ofThisMachine
    }
}
