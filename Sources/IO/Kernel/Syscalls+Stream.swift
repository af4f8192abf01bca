import Glibc
import MQTT

extension Syscalls {
    /// Reads from a stream into `buffer`, recv(2) or read(2): the count, 0 at its end, `nil` for none yet.
    static func receive(
        _ descriptor: Int32, into buffer: inout ByteBuffer, atMost count: Int
    ) throws(IOError) -> Int? {
        var failure: Int32 = 0
        let filled = unsafe buffer.appendFromFill(atLeast: count) { target in
            let room = min(count, target.count)
            while true {
                // SAFETY: read writes at most `room` bytes, which `target` has.
                let got = unsafe Glibc.read(descriptor, target.baseAddress, room)
                if got >= 0 { return got }
                if errno == EINTR { continue }
                failure = errno
                return 0
            }
        }
        if failure == 0 { return filled }
        if failure == EAGAIN || failure == EWOULDBLOCK { return nil }
        precondition(failure != EBADF && failure != EFAULT, "a system call on what is not ours")
        throw IOError("read", ErrorNumber(failure))
    }
}
