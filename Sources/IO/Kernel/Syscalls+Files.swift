import Glibc

extension Syscalls {
    /// Opens a file, open(2), close-on-exec.
    static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0
    ) throws(IOError) -> FileDescriptor {
        do throws(IOError) {
            let number = try retrying("open") {
                // SAFETY: the path is lent as a C string for the call.
                unsafe Int(Glibc.open(path, flags | O_CLOEXEC, mode))
            }
            return FileDescriptor(takingOwnership: Int32(number))
        } catch {
            throw error.about(path)
        }
    }

    /// Appends at most `count` bytes of a file to `bytes`, read(2): how many, 0 at its end.
    static func read(
        _ file: borrowing FileDescriptor, into bytes: inout [UInt8], atMost count: Int
    ) throws(IOError) -> Int {
        let number = file.rawValue
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: count))
        var got = 0
        defer { bytes.removeLast(count - got) }
        got = try retrying("read") {
            // SAFETY: `count` bytes stand behind `start`, as just appended.
            unsafe bytes.withUnsafeMutableBytes { target in
                unsafe Glibc.read(number, target.baseAddress.map { unsafe $0 + start }, count)
            }
        }
        return got
    }

    /// Writes all of `bytes`, write(2).
    static func writeAll(
        _ file: borrowing FileDescriptor, _ bytes: Span<UInt8>
    ) throws(IOError) {
        let number = file.rawValue
        var written = 0
        while written < bytes.count {
            let rest = bytes.extracting(written...)
            written += try retrying("write") {
                // SAFETY: the span's bytes are lent for the call.
                unsafe rest.withUnsafeBufferPointer {
                    unsafe Glibc.write(number, $0.baseAddress, $0.count)
                }
            }
        }
    }

    static func synchronize(_ file: borrowing FileDescriptor) throws(IOError) {
        let number = file.rawValue
        _ = try retrying("fsync") { Int(fsync(number)) }
    }

    static func changeMode(_ file: borrowing FileDescriptor, _ mode: mode_t) throws(IOError) {
        let number = file.rawValue
        _ = try retrying("fchmod") { Int(fchmod(number, mode)) }
    }

    /// Gives a file the owner and the group of another, fchown(2), if it has others.
    static func changeOwner(
        _ file: borrowing FileDescriptor, like other: FileStatus
    ) throws(IOError) {
        let own = try status(file)
        guard own.userID != other.userID || own.groupID != other.groupID else { return }
        let number = file.rawValue
        _ = try retrying("fchown") { Int(fchown(number, other.userID, other.groupID)) }
    }

    static func status(_ path: String) throws(IOError) -> FileStatus {
        var raw = stat()
        do throws(IOError) {
            // SAFETY: the path is lent, and the kernel fills the struct within the call.
            _ = try retrying("stat") { unsafe Int(stat(path, &raw)) }
        } catch {
            throw error.about(path)
        }
        return FileStatus(raw)
    }

    static func status(_ file: borrowing FileDescriptor) throws(IOError) -> FileStatus {
        let number = file.rawValue
        var raw = stat()
        // SAFETY: the kernel fills the struct within the call.
        _ = try retrying("fstat") { unsafe Int(fstat(number, &raw)) }
        return FileStatus(raw)
    }

    static func rename(_ old: String, to new: String) throws(IOError) {
        do throws(IOError) {
            // SAFETY: both paths are lent for the call.
            _ = try retrying("rename") { unsafe Int(Glibc.rename(old, new)) }
        } catch {
            throw error.about(new)
        }
    }

    static func unlink(_ path: String) throws(IOError) {
        do throws(IOError) {
            // SAFETY: the path is lent for the call.
            _ = try retrying("unlink") { unsafe Int(Glibc.unlink(path)) }
        } catch {
            throw error.about(path)
        }
    }

    static func makeFolder(_ path: String, mode: mode_t) throws(IOError) {
        do throws(IOError) {
            // SAFETY: the path is lent for the call.
            _ = try retrying("mkdir") { unsafe Int(mkdir(path, mode)) }
        } catch {
            throw error.about(path)
        }
    }

    /// The names in a folder without `.` and `..`, readdir(3), in the kernel's order.
    static func names(in path: String) throws(IOError) -> [String] {
        // SAFETY: the stream is ours until closedir; an entry is read before the next call.
        guard let folder = unsafe opendir(path) else {
            throw IOError("opendir", ErrorNumber(rawValue: errno), subject: path)
        }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    static func space(at path: String) throws(IOError) -> FileSystemSpace {
        var raw = statvfs()
        do throws(IOError) {
            // SAFETY: the path is lent, and the kernel fills the struct within the call.
            _ = try retrying("statvfs") { unsafe Int(statvfs(path, &raw)) }
        } catch {
            throw error.about(path)
        }
        let unit = UInt64(raw.f_frsize)
        return FileSystemSpace(
            totalBytes: UInt64(raw.f_blocks) * unit, freeBytes: UInt64(raw.f_bfree) * unit,
            availableBytes: UInt64(raw.f_bavail) * unit,
            isReadOnly: raw.f_flag & UInt(ST_RDONLY) != 0)
    }

    /// Where a symbolic link leads, readlink(2).
    static func linkTarget(_ path: String) throws(IOError) -> String {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let room = bytes.count
        do throws(IOError) {
            let count = try retrying("readlink") {
                // SAFETY: readlink writes at most the room that it is told.
                unsafe readlink(path, &bytes, room)
            }
            let target = bytes.prefix(count).map { UInt8(truncatingIfNeeded: $0) }
            return String(decoding: target, as: UTF8.self)
        } catch {
            throw error.about(path)
        }
    }
}

/// What stat(2) says about a file.
public struct FileStatus: Hashable, Sendable {
    /// The permission bits: 0o640.
    public var permissions: UInt32
    /// Its length in bytes; what /proc and /sys show says 0.
    public var byteCount: Int64
    public var isFolder: Bool
    /// Its number in its file system.
    public var inode: UInt64
    public var isRegularFile: Bool
    /// The owner's number.
    public var userID: UInt32
    /// The group's number.
    public var groupID: UInt32
    /// Milliseconds since 1970 of the last change of its content.
    public var modifiedUnixMilliseconds: Int64

    init(_ raw: stat) {
        permissions = UInt32(raw.st_mode) & 0o7777
        byteCount = Int64(raw.st_size)
        inode = UInt64(raw.st_ino)
        isFolder = raw.st_mode & S_IFMT == S_IFDIR
        isRegularFile = raw.st_mode & S_IFMT == S_IFREG
        userID = raw.st_uid
        groupID = raw.st_gid
        modifiedUnixMilliseconds =
            Int64(raw.st_mtim.tv_sec) * 1_000 + Int64(raw.st_mtim.tv_nsec) / 1_000_000
    }
}

/// What statvfs(3) says about a file system.
public struct FileSystemSpace: Hashable, Sendable {
    public var totalBytes: UInt64
    /// Free for root.
    public var freeBytes: UInt64
    /// Free for everybody else.
    public var availableBytes: UInt64
    public var isReadOnly: Bool
}
