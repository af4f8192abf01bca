import Glibc

/// Small files and folders, blocking. A loop's thread uses it at start; a file that can hang goes through a
/// `BlockingThread`.
public enum Files {
    /// The bytes of a file of at most `limit` bytes; a longer one throws `.fileTooLarge`.
    ///
    /// Reads until the end and not up to the size that stat(2) tells, so it serves /proc and /sys as well.
    public static func read(_ path: String, limit: Int) throws(IOError) -> [UInt8] {
        let file = try Syscalls.open(path, O_RDONLY)
        var bytes: [UInt8] = []
        do throws(IOError) {
            while true {
                let room = min(limit + 1 - bytes.count, 64 * 1_024)
                if try Syscalls.read(file, into: &bytes, atMost: room) == 0 { return bytes }
                guard bytes.count <= limit else {
                    throw IOError(
                        "read", .fileTooLarge, subject: path,
                        hint: "it may have at most \(limit) bytes")
                }
            }
        } catch {
            throw error.about(path)
        }
    }

    /// A file that only its owner and group may read: one that others can read throws.
    public static func readPrivate(_ path: String, limit: Int) throws(IOError) -> [UInt8] {
        try requirePrivate(path)
        return try read(path, limit: limit)
    }

    /// Throws when others than owner and group have any right to the file, `mode & 0o007`.
    public static func requirePrivate(_ path: String) throws(IOError) {
        let status = try Syscalls.status(path)
        guard status.permissions & 0o007 == 0 else {
            throw IOError(
                "check", .operationNotPermitted, subject: path,
                hint: "everybody on this machine can read this secret; run: chmod 640 \(path)")
        }
    }

    /// Writes a whole file so that after a crash the old or the new content stands there, never a part.
    ///
    /// A temporary file beside it, fsync(2), rename(2), fsync of the folder. `mode` is set whatever the umask.
    /// With `ownedLike` the new file gets that one's owner and group, or nothing is written.
    public static func writeAtomically(
        _ path: String, _ bytes: Span<UInt8>, mode: UInt32 = 0o644,
        ownedLike owner: FileStatus? = nil
    ) throws(IOError) {
        let suffix = SystemRandom.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let temporary = path + ".new-" + String(suffix, radix: 16)
        do throws(IOError) {
            let file = try Syscalls.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            do throws(IOError) {
                try Syscalls.writeAll(file, bytes)
                if let owner { try Syscalls.changeOwner(file, like: owner) }
                try Syscalls.changeMode(file, mode)
                try Syscalls.synchronize(file)
                try Syscalls.rename(temporary, to: path)
            } catch {
                // The reason is what the caller needs; a left-over temporary file is not.
                try? Syscalls.unlink(temporary)
                throw error
            }
        } catch {
            throw error.about(path, hint: Self.writeHint(error.code))
        }
        try synchronizeFolder(of: path)
    }

    /// Makes a rename or a new file in `path`'s folder survive a power cut.
    public static func synchronizeFolder(of path: String) throws(IOError) {
        let folder = Self.folder(of: path)
        let descriptor = try Syscalls.open(folder, O_RDONLY | O_DIRECTORY)
        do throws(IOError) {
            try Syscalls.synchronize(descriptor)
        } catch {
            // Some file systems cannot do it for folders (EINVAL), and then need not.
            if error.code != .invalidArgument { throw error.about(folder) }
        }
    }

    /// Whether there is something at `path`, readable or not.
    public static func exists(_ path: String) -> Bool {
        do throws(IOError) {
            _ = try Syscalls.status(path)
            return true
        } catch {
            return error.code != .noSuchFile && error.code != .notADirectory
        }
    }

    /// Whether this process may read the file at `path`.
    public static func canRead(_ path: String) -> Bool {
        (try? Syscalls.open(path, O_RDONLY)) != nil
    }

    /// What stat(2) says about the file at `path`.
    public static func status(_ path: String) throws(IOError) -> FileStatus {
        try Syscalls.status(path)
    }

    /// The names in a folder, sorted by their bytes.
    public static func names(in folder: String) throws(IOError) -> [String] {
        try Syscalls.names(in: folder).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Where a symbolic link leads, as it is written there.
    public static func linkTarget(_ path: String) throws(IOError) -> String {
        try Syscalls.linkTarget(path)
    }

    /// Makes a folder and those above it that are missing.
    public static func makeFolder(_ path: String, mode: UInt32 = 0o755) throws(IOError) {
        do throws(IOError) {
            try Syscalls.makeFolder(path, mode: mode)
        } catch {
            switch error.code {
            case .fileExists where (try? Syscalls.status(path))?.isFolder == true: return
            case .noSuchFile where folder(of: path) != path:
                try makeFolder(folder(of: path), mode: mode)
                try makeFolder(path, mode: mode)
            default: throw error
            }
        }
    }

    /// Gives a file the owner and the group of another, if it has others, fchown(2).
    public static func changeOwner(_ path: String, like owner: FileStatus) throws(IOError) {
        let file = try Syscalls.open(path, O_RDONLY)
        do throws(IOError) {
            try Syscalls.changeOwner(file, like: owner)
        } catch {
            throw error.about(path)
        }
    }

    /// Removes a file, unlink(2).
    public static func remove(_ path: String) throws(IOError) {
        try Syscalls.unlink(path)
    }

    /// Room on the file system that holds `path`.
    public static func space(at path: String) throws(IOError) -> FileSystemSpace {
        try Syscalls.space(at: path)
    }

    /// The path without its last component: `/etc/fleet` for `/etc/fleet/x`, `.` for `x`.
    public static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func openNull() throws(IOError) -> FileDescriptor {
        try Syscalls.open("/dev/null", O_RDONLY)
    }

    private static func writeHint(_ code: ErrorNumber) -> String {
        switch code {
        case .noSpace: "the file system is full; df -h shows it"
        case .permissionDenied: "this user may not write in that folder"
        case .operationNotPermitted: "only root can keep the file's owner and group; use sudo"
        default: ""
        }
    }
}
