import IO

/// What can be done with a store beside using it; also while a daemon has it open, but for `restore`.
///
/// Nothing here brings a store to another format.
public enum StoreMaintenance {
    /// The format of the store at `path`, by its header; `nil`: there is none.
    public static func format(
        of path: String, schema: Schema
    ) throws(StoreError) -> Int? {
        switch try finding(path) {
        case .new: return nil
        case .corrupt(let reason): throw StoreError(.corrupt, reason, path: path)
        case .unfinished:
            // Only SQLite can say what the file is after rolling back.
            let database = try Database(
                path: path, schema: schema, options: StoreOptions(synchronous: .full),
                migrates: false)
            defer { database.close() }
            return Int(try database.integer("PRAGMA user_version"))
        case .store(let header):
            guard header.applicationID == schema.applicationID else {
                throw StoreError.foreign(header.applicationID, path: path)
            }
            return Int(header.userVersion)
        }
    }

    /// Puts a copy of the store at `source` in the place of the one at `path`, which is put aside; returns its
    /// new path, `nil` where there was none. Nothing may have either of the two open.
    ///
    /// The copy may have an older format: it is for a program of that age, or is migrated at the next start.
    /// - Parameters:
    ///   - owner: whose the store shall be.
    ///   - prepare: changes the copy before it takes the place.
    public static func restore(
        from source: String, to path: String, schema: Schema, ownedLike owner: FileStatus,
        prepare: (Database) throws(StoreError) -> Void = { _ in }
    ) throws(StoreError) -> String? {
        guard let format = try format(of: source, schema: schema) else {
            throw StoreError(.cannotOpen, "there is no store", path: source)
        }
        guard format <= schema.formatVersion else {
            throw StoreError.newer(format, schema, path: source)
        }
        let copy = path + ".restoring"
        StoreFile.remove(copy)
        do throws(StoreError) {
            try StoreFile.copy(source, to: copy)
            try check(copy, schema, prepare)
            return try exchange(copy, path, owner)
        } catch {
            StoreFile.remove(copy)
            var error = error
            if error.path == copy { error.path = source }
            throw error
        }
    }

    /// Opens the copy, which moves its log into it, and looks at the whole of it.
    private static func check(
        _ copy: String, _ schema: Schema, _ prepare: (Database) throws(StoreError) -> Void
    ) throws(StoreError) {
        let database = try Database(
            path: copy, schema: schema, options: StoreOptions(synchronous: .full), migrates: false)
        defer { database.close() }
        if let problem = try database.problems().first {
            throw StoreError(.corrupt, "damaged: \(problem)", path: copy)
        }
        try prepare(database)
    }

    private static func exchange(
        _ copy: String, _ path: String, _ owner: FileStatus
    ) throws(StoreError) -> String? {
        do throws(IOError) {
            try Files.changeOwner(copy, like: owner)
            try StoreKernel.synchronize(copy)
        } catch {
            throw StoreError(.cannotOpen, "\(error)", path: path)
        }
        let old = Files.exists(path) ? try StoreFile.putAside(path, as: "replaced") : nil
        do throws(IOError) {
            try StoreKernel.rename(copy, to: path)
            try Files.synchronizeFolder(of: path)
        } catch {
            throw StoreError(.cannotOpen, "\(error)", path: path)
        }
        return old
    }

    private static func finding(_ path: String) throws(StoreError) -> StoreHeader.Finding {
        do throws(IOError) {
            return try StoreHeader.read(path)
        } catch {
            throw StoreError(.cannotOpen, "\(error)", path: path)
        }
    }
}
