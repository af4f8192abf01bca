/// One step of a store's format: from version n-1 to n, where n is its place in the list.
///
/// A migration that was released is never changed; a new one is added behind it.
public struct Migration: Sendable {
    /// For error texts: `add retained messages`.
    public var name: String
    var apply: @Sendable (Database) throws(StoreError) -> Void

    public init(
        _ name: String, _ apply: @escaping @Sendable (Database) throws(StoreError) -> Void
    ) {
        self.name = name
        self.apply = apply
    }

    /// A migration of SQL alone.
    public init(_ name: String, sql: String) {
        self.init(name) { database throws(StoreError) in try database.execute(sql) }
    }
}

/// What a store is: whose it is, and the steps that lead from an empty file to its format.
public struct Schema: Sendable {
    /// SQLite's `application_id`: says whose file it is; not 0.
    public var applicationID: UInt32
    public var migrations: [Migration]

    /// SQLite's `user_version`.
    public var formatVersion: Int { migrations.count }

    public init(applicationID: UInt32, migrations: [Migration]) {
        precondition(applicationID != 0)
        self.applicationID = applicationID
        self.migrations = migrations
    }
}

/// How a store is opened; each limit by its name.
public struct StoreOptions: Hashable, Sendable {
    /// When a commit is safe.
    public enum Synchronous: String, Hashable, Sendable, CaseIterable {
        /// Through a power cut: fsync(2) at each commit.
        case full
        /// Through the end of the process, however it ends; a power cut may take the last commits, and
        /// the file stays sound.
        case normal
    }

    public var synchronous: Synchronous
    /// How long to wait for a lock that another process holds.
    public var busyTimeoutMilliseconds = 2_000
    /// Memory for pages.
    public var cacheKibibytes = 512
    /// Pages in the write-ahead log at which they move into the file.
    public var checkpointPages = 1_000
    /// The log's size on disk after that.
    public var journalSizeLimitBytes = 4 << 20

    public init(synchronous: Synchronous) {
        self.synchronous = synchronous
    }
}
