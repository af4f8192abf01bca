/// What all configuration files of a program say together, before anyone knows what it means.
public struct ConfigurationDocument: Sendable {
    public private(set) var root: ConfigurationTable
    /// The files that were read, the first one first.
    public private(set) var files: [String]
    /// The main file, where it is not there: drop-ins and defaults are all there is.
    public private(set) var missingFile: String?

    /// Nothing configured: every setting has its default.
    public init() {
        root = ConfigurationTable()
        files = []
    }

    /// Parses one text; `name` stands for the path in origins.
    public init(text: String, name: String) throws(ConfigurationError) {
        root = try TOMLParser.parse(Array(text.utf8), path: name)
        files = [name]
    }

    /// Reads `path`, and with `dropIns` then `NAME.d/*.toml` beside it (`broker.toml`: `broker.d`).
    ///
    /// Drop-ins are read in lexical order, each laid over what came before: tables merge, tables of an array
    /// with their namesakes, everything else replaces. With drop-ins the main file need not be there. What is
    /// wrong in any of the files is reported together.
    ///
    /// - Parameter standIns: drop-ins by their names, each with the file that is read in its place, as if it were
    ///   there already.
    public static func load(
        _ path: String, dropIns: Bool = true, standIns: [String: String] = [:]
    ) throws(ConfigurationError) -> ConfigurationDocument {
        var document = ConfigurationDocument()
        var problems: [ConfigurationProblem] = []
        var paths = [path]
        let folder = dropInFolder(of: path)
        if dropIns {
            if ConfigurationFiles.isMissing(path) {
                document.missingFile = path
                paths = []
            }
            do throws(ConfigurationError) {
                let names = try ConfigurationFiles.dropIns(in: folder, and: Array(standIns.keys))
                paths += names.map { "\(folder)/\($0)" }
            } catch {
                problems += error.problems
            }
        }
        let files = Dictionary(
            uniqueKeysWithValues: standIns.map { ("\(folder)/\($0.key)", $0.value) })
        for path in paths {
            do throws(ConfigurationError) {
                let bytes = try ConfigurationFiles.read(files[path] ?? path)
                document.root.merge(try TOMLParser.parse(bytes, path: path))
                document.files.append(path)
            } catch {
                problems += error.problems
            }
        }
        guard problems.isEmpty else { throw ConfigurationError(problems) }
        return document
    }

    /// The files that were read, each in a comment, for `--check-config`.
    public var sources: String {
        var lines =
            missingFile.map { ["\($0): no such file; drop-ins and defaults are in effect"] } ?? []
        lines += files
        return lines.map { "# \($0)\n" }.joined()
    }

    /// `/etc/fleet/broker.toml` -> `/etc/fleet/broker.d`
    public static func dropInFolder(of path: String) -> String {
        (path.hasSuffix(".toml") ? String(path.dropLast(5)) : path) + ".d"
    }

    /// Lays the value of a command line flag over what the files say.
    ///
    /// `path` leads through tables, such as `["broker", "url"]`; tables on the way are made. Whatever
    /// stood there is replaced, arrays too.
    public mutating func override(
        _ path: [String], with content: ConfigurationValue.Content, flag: String
    ) {
        let origin = ConfigurationOrigin.flag(flag)
        root.set(path[...], to: ConfigurationValue(content, origin: origin))
    }

    /// Lays a list of tables over what the files say, such as one `[[listener]]` for each `--listen`.
    public mutating func override(
        _ path: [String], tables: [[(String, ConfigurationValue.Content)]], flag: String
    ) {
        let origin = ConfigurationOrigin.flag(flag)
        let values = tables.map { members in
            var table = ConfigurationTable()
            for (key, content) in members {
                table[key] = ConfigurationValue(content, origin: origin)
            }
            return ConfigurationValue(.table(table), origin: origin)
        }
        override(path, with: .array(values), flag: flag)
    }
}
