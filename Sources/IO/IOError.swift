import Glibc

/// What the kernel refused: the call, its errno, what it was about and what can be done.
public struct IOError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The C function's name: `open`, `bind`, `connect`.
    public var operation: String
    /// Its errno.
    public var code: ErrorNumber
    /// The path, address or name that the call was about; empty when there is none.
    public var subject: String
    /// The one thing the user can do about it, as a sentence; empty when there is none.
    public var hint: String

    public init(
        _ operation: String, _ code: ErrorNumber, subject: String = "", hint: String = ""
    ) {
        self.operation = operation
        self.code = code
        self.subject = subject
        self.hint = hint
    }

    /// One line for people: `open /etc/x: Permission denied (EACCES); check the file's owner`.
    public var description: String {
        var text = operation
        if !subject.isEmpty { text += " " + subject }
        text += ": \(code)"
        if !hint.isEmpty { text += "; " + hint }
        return text
    }

    /// The same error, about `subject`, with `hint`; what stands already is kept.
    public func about(_ subject: String, hint: String = "") -> IOError {
        IOError(
            operation, code, subject: self.subject.isEmpty ? subject : self.subject,
            hint: self.hint.isEmpty ? hint : self.hint)
    }
}

/// An errno, errno(3).
public struct ErrorNumber: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public var rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    init(_ rawValue: Int32) {
        self.rawValue = rawValue
    }

    public static let noSuchFile = ErrorNumber(ENOENT)
    public static let permissionDenied = ErrorNumber(EACCES)
    public static let operationNotPermitted = ErrorNumber(EPERM)
    public static let fileExists = ErrorNumber(EEXIST)
    public static let isDirectory = ErrorNumber(EISDIR)
    public static let notADirectory = ErrorNumber(ENOTDIR)
    public static let fileTooLarge = ErrorNumber(EFBIG)
    public static let noSpace = ErrorNumber(ENOSPC)
    public static let invalidArgument = ErrorNumber(EINVAL)
    public static let tooManyOpenFiles = ErrorNumber(EMFILE)
    public static let tooManyOpenFilesInSystem = ErrorNumber(ENFILE)
    public static let noMemory = ErrorNumber(ENOMEM)
    public static let noBufferSpace = ErrorNumber(ENOBUFS)
    public static let addressInUse = ErrorNumber(EADDRINUSE)
    public static let addressNotAvailable = ErrorNumber(EADDRNOTAVAIL)
    public static let addressFamilyNotSupported = ErrorNumber(EAFNOSUPPORT)
    public static let connectionRefused = ErrorNumber(ECONNREFUSED)
    public static let connectionReset = ErrorNumber(ECONNRESET)
    public static let brokenPipe = ErrorNumber(EPIPE)
    public static let timedOut = ErrorNumber(ETIMEDOUT)
    public static let networkUnreachable = ErrorNumber(ENETUNREACH)
    public static let wouldBlock = ErrorNumber(EAGAIN)

    /// The C library's text and the number: `Permission denied (errno 13)`.
    public var description: String {
        "\(Syscalls.message(for: rawValue)) (errno \(rawValue))"
    }
}
