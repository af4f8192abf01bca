/// The version that all four programs print; it stands here and nowhere else.
public enum FleetVersion {
    /// Semantic version (semver.org), as in the Debian changelog and `status`.
    public static let current = "0.1.0"
}
