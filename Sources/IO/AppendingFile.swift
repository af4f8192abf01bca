import Glibc

/// A file that only grows: every record is one write(2) to its end, O_APPEND.
public final class AppendingFile: Sendable {
    private let descriptor: FileDescriptor
    public let path: String

    /// Opens or makes the file.
    public init(_ path: String, mode: UInt32 = 0o644) throws(IOError) {
        descriptor = try Syscalls.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: mode)
        self.path = path
    }

    /// Appends `bytes`; the kernel has them when it returns, so they survive the end of this process.
    public func append(_ bytes: Span<UInt8>) throws(IOError) {
        do throws(IOError) {
            try Syscalls.writeAll(descriptor, bytes)
        } catch {
            throw error.about(path)
        }
    }

    /// Makes what was appended survive a power cut, fsync(2). Blocks for as long as the disk takes.
    public func synchronize() throws(IOError) {
        do throws(IOError) {
            try Syscalls.synchronize(descriptor)
        } catch {
            throw error.about(path)
        }
    }
}
