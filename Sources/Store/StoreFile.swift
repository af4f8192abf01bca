import FleetModel
import IO

/// A store as files: the database, and beside it its log.
public enum StoreFile {
    /// What SQLite keeps beside a database.
    private static let companions = ["-wal", "-shm", "-journal"]

    /// The damaged stores that were put aside from `path`, by their paths.
    public static func quarantined(_ path: String) -> [String] {
        let folder = Files.folder(of: path)
        let names = (try? Files.names(in: folder)) ?? []
        return names.map { "\(folder)/\($0)" }.filter { name in
            name.hasPrefix("\(path).corrupt-") && !companions.contains { name.hasSuffix($0) }
        }
    }

    /// Opens a copy of a damaged store, log and all, to read what can be read; `remove` it afterwards.
    ///
    /// The original is for people to look at; opening would change it.
    public static func openCopy(
        of path: String, at copy: String, schema: Schema, options: StoreOptions
    ) throws(StoreError) -> Database {
        remove(copy)
        try self.copy(path, to: copy)
        return try Database(path: copy, schema: schema, options: options)
    }

    /// Copies a store's files, log and all; nothing may write to them meanwhile.
    static func copy(_ path: String, to target: String) throws(StoreError) {
        do throws(IOError) {
            for companion in [""] + companions where Files.exists(path + companion) {
                try StoreKernel.copy(path + companion, to: target + companion)
            }
        } catch {
            throw StoreError(
                StoreKernel.meansNoRoom(error.code.rawValue) ? .full : .cannotOpen, "\(error)",
                path: target)
        }
    }

    /// Where the copy of a store lies that was made before it left this format.
    static func copy(of path: String, format: Int) -> String { "\(path).format-\(format)" }

    /// Keeps a copy of a store that is about to be migrated, in the place of an earlier one of that format.
    /// The store has no log, and nobody else has it open.
    static func keepCopy(of path: String, format: Int) throws(StoreError) {
        let target = copy(of: path, format: format)
        let unfinished = target + ".new"
        do throws(StoreError) {
            try copy(path, to: unfinished)
            do throws(IOError) {
                try Files.changeOwner(unfinished, like: Files.status(path))
                try StoreKernel.synchronize(unfinished)
                try StoreKernel.rename(unfinished, to: target)
                try Files.synchronizeFolder(of: target)
            } catch {
                throw StoreError(.cannotOpen, "\(error)", path: target)
            }
        } catch {
            remove(unfinished)
            var error = error
            error.message = "no copy can be made before the migration: \(error.message)"
            throw error
        }
    }

    /// Removes a store's files, as far as there are any.
    public static func remove(_ path: String) {
        for companion in [""] + companions where Files.exists(path + companion) {
            try? Files.remove(path + companion)
        }
    }

    /// Puts a damaged store aside, log and all, under a name that tells when; returns the new path.
    ///
    /// `broker.db` becomes `broker.db.corrupt-20250309T070501Z`. Nothing may have it open.
    public static func quarantine(_ path: String) throws(StoreError) -> String {
        try putAside(path, as: "corrupt")
    }

    /// `broker.db` becomes `broker.db.<why>-20250309T070501Z`.
    static func putAside(_ path: String, as why: String) throws(StoreError) -> String {
        let time = Timestamp(unixMilliseconds: SystemClock.unixMilliseconds()).description
        let stamp = time.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
        var target = "\(path).\(why)-\(stamp)"
        var count = 1
        while Files.exists(target) {
            count += 1
            target = "\(path).\(why)-\(stamp)-\(count)"
        }
        do throws(IOError) {
            // The companions first: a new database must never find the old one's log.
            for companion in companions where Files.exists(path + companion) {
                try StoreKernel.rename(path + companion, to: target + companion)
            }
            if Files.exists(path) { try StoreKernel.rename(path, to: target) }
            try Files.synchronizeFolder(of: path)
        } catch {
            throw StoreError(.cannotOpen, "cannot be put aside: \(error)", path: path)
        }
        return target
    }
}

/// Looks at a whole store for damage, on a thread and a connection of its own.
///
/// It takes a second for each few hundred megabytes, so it runs after an unclean stop only, while the
/// daemon serves.
public enum StoreCheck {
    /// Lines of a report; more damage is not more news.
    static let maximumLines = 10

    /// Opens the store a second time by `open` and calls `completion` on the check's thread: with what is
    /// wrong (nothing: it is sound), or with why that could not be found out.
    public static func start(
        path: String, open: @escaping @Sendable () throws(StoreError) -> Database,
        completion: @escaping @Sendable (Result<[String], StoreError>) -> Void
    ) throws(StoreError) {
        do throws(IOError) {
            try SystemThread.start(name: "store-check") { completion(result(open)) }
        } catch {
            throw StoreError(.other, "no thread: \(error)", path: path)
        }
    }

    private static func result(
        _ open: () throws(StoreError) -> Database
    ) -> Result<[String], StoreError> {
        do throws(StoreError) {
            let database = try open()
            defer { database.close() }
            return .success(try database.problems())
        } catch {
            // Damage that stops the check itself is damage.
            return error.kind == .corrupt ? .success([error.message]) : .failure(error)
        }
    }
}
