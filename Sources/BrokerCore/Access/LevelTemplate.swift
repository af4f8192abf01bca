/// A topic or filter in which a level `%u` stands for the user and a level `%c` for the client identifier.
struct LevelTemplate: Hashable, Sendable {
    private enum Level: Hashable, Sendable {
        case fixed([UInt8])
        case user
        case client
    }

    private let levels: [Level]

    /// `nil` where a placeholder does not fill its level.
    init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var levels: [Level] = []
        for part in parts.map({ Array($0) }) {
            switch part {
            case Self.user: levels.append(.user)
            case Self.client: levels.append(.client)
            case let level where Self.mentionsPlaceholder(level): return nil
            default: levels.append(.fixed(part))
            }
        }
        self.levels = levels
    }

    private static let user = Array("%u".utf8)
    private static let client = Array("%c".utf8)

    private static func mentionsPlaceholder(_ level: [UInt8]) -> Bool {
        zip(level, level.dropFirst()).contains { [$0, $1] == user || [$0, $1] == client }
    }

    /// Whether it is the same for everybody.
    var isFixed: Bool { !levels.contains(.user) && !levels.contains(.client) }

    /// The text for one principal, with `standIn` where a name cannot stand for a level; without one,
    /// `nil` then.
    func bytes(for principal: Principal, standIn: UInt8? = nil) -> [UInt8]? {
        var bytes: [UInt8] = []
        for (index, level) in levels.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "/")) }
            let name: [UInt8]
            switch level {
            case .fixed(let text):
                bytes += text
                continue
            case .user: name = principal.user ?? []
            case .client: name = principal.clientID
            }
            if Principal.canFillLevel(name) {
                bytes += name
            } else if let standIn {
                bytes.append(standIn)
            } else {
                return nil
            }
        }
        return bytes
    }
}
