import AgentCore
import FleetModel
import IO
import JSON

/// The agent's memory in its state folder: ids of commands (`commands`, one line each) and the
/// offsets of boots without a clock (`clock.json`). Used on one blocking thread.
final class AgentStore: Sendable {
    private let folder: String
    private static let fileLimit = 4 << 20
    /// The file is written anew at start when it has more lines than this for each that counts.
    private static let growth = 2

    init(folder: String) { self.folder = folder }

    private var commandsPath: String { folder + "/commands" }
    private var clockPath: String { folder + "/clock.json" }

    /// The commands of earlier runs, oldest first; a torn last line counts as not written.
    func loadCommands() throws(IOError) -> [CommandRecord] {
        guard Files.exists(commandsPath) else { return [] }
        let bytes = try Files.read(commandsPath, limit: Self.fileLimit)
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        let records = lines.compactMap { Self.record(String(decoding: $0, as: UTF8.self)) }
        let kept = Array(records.suffix(AgentLimits.rememberedCommands))
        if lines.count > Self.growth * max(kept.count, 64) || bytes.last != UInt8(ascii: "\n") {
            let content = kept.map(Self.line).joined()
            try Files.writeAtomically(commandsPath, Array(content.utf8).span, mode: 0o640)
        }
        return kept
    }

    /// Returns when the command is safe from a power cut.
    func remember(_ record: CommandRecord) throws(IOError) {
        let file = try AppendingFile(commandsPath, mode: 0o640)
        try file.append(Array(Self.line(record).utf8).span)
        try file.synchronize()
    }

    func loadClock() -> ClockOffsets {
        guard let bytes = try? Files.read(clockPath, limit: Self.fileLimit),
            let json = try? JSON.parse(bytes), let offsets = try? ClockOffsets(json: json)
        else { return ClockOffsets() }
        return offsets
    }

    func store(_ offsets: ClockOffsets) throws(IOError) {
        try Files.writeAtomically(clockPath, offsets.encode().span, mode: 0o640)
    }

    private static func line(_ record: CommandRecord) -> String {
        let kind = record.isRepeatable ? "r" : "o"
        return "\(record.unixMilliseconds) \(kind) \(record.verb) \(record.id)\n"
    }

    private static func record(_ line: String) -> CommandRecord? {
        let words = line.split(separator: " ")
        guard words.count == 4, let time = Int64(words[0]), let id = try? RequestID(words[3]) else {
            return nil
        }
        return CommandRecord(
            id: id, verb: String(words[2]), unixMilliseconds: time, isRepeatable: words[1] == "r")
    }
}
