import IO

/// The files that systemd has loaded for this service, LoadCredential= in systemd.exec(5): secrets that only root
/// can read where they lie.
public struct CredentialFolder: Sendable {
    /// `nil`: there is none.
    let path: String?

    public init(path: String?) { self.path = path }

    /// That of `$CREDENTIALS_DIRECTORY`.
    public static var ofProcess: CredentialFolder {
        CredentialFolder(path: ProcessEnvironment.value("CREDENTIALS_DIRECTORY"))
    }

    /// Where to read a secret: at its path, else in this folder by the last part of it, as `NAME`, or `ID_NAME` where
    /// the unit loads a whole folder. What is at its path is newer: systemd loads at the start only.
    public func path(for file: String) -> String {
        guard let path, !Files.canRead(file) else { return file }
        let name = String(
            file[(file.lastIndex(of: "/").map(file.index(after:)) ?? file.startIndex)...])
        let names = (try? Files.names(in: path)) ?? []
        let found = names.first { $0 == name } ?? names.first { $0.hasSuffix("_" + name) }
        return found.map { "\(path)/\($0)" } ?? file
    }
}
