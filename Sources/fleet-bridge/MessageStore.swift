import Daemon
import IO
import Store

/// `fleet-bridge store …`: what can be done with the file of messages.
enum MessageStore: StoreKeeper {
    static let fileName = StoreFiles.name
    static var formatVersion: Int { BridgeStore.schema.formatVersion }

    static func format(of path: String) throws -> Int? {
        try DaemonError.ofStore { () throws(StoreError) in
            try StoreMaintenance.format(of: path, schema: BridgeStore.schema)
        }
    }

    static func backUp(_ path: String, to target: String) throws -> String {
        try DaemonError.ofStore { () throws(StoreError) in
            let database = try BridgeStore.open(path, migrates: false)
            defer { database.close() }
            try database.copy(to: target)
            return try content(database)
        }
    }

    static func restore(
        from source: String, to path: String, ownedLike owner: FileStatus
    ) throws -> String? {
        try DaemonError.ofStore { () throws(StoreError) in
            try StoreMaintenance.restore(
                from: source, to: path, schema: BridgeStore.schema, ownedLike: owner
            ) { database throws(StoreError) in
                // What was forwarded since has the numbers that come next: a new epoch tells them apart.
                try database.execute("DELETE FROM meta WHERE name = 'instance'")
            }
        }
    }

    static func check(_ path: String) throws -> (problems: [String], content: String) {
        try DaemonError.ofStore { () throws(StoreError) in
            do throws(StoreError) {
                let database = try BridgeStore.open(path, migrates: false)
                defer { database.close() }
                return (try database.problems(), try content(database))
            } catch {
                guard error.kind == .corrupt else { throw error }
                return ([error.message], "")
            }
        }
    }

    private static func content(_ database: Database) throws(StoreError) -> String {
        let messages = try database.integer("SELECT coalesce(sum(count), 0) FROM batch")
        return "\(messages) message\(messages == 1 ? "" : "s")"
    }
}
