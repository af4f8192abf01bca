extension Name where Kind == NodeKind {
    /// Host names that images give to every machine; two of them on a site would be one node.
    static let namesOfImages: [String] = ["raspberrypi", "localhost", "debian"]

    /// The node's name where none is configured.
    ///
    /// The host name up to its first dot, in lower case, other characters as `-`; where nothing is
    /// left, or an image gave the name, `pi-` and the last eight digits of the board's serial number,
    /// else of the machine-id (machine-id(5)). `nil` when there is nothing to make a name from.
    public static func `default`(
        hostName: String, boardSerial: String?, machineID: String?
    ) -> NodeName? {
        let label = hostName.prefix { $0 != "." }.lowercased()
        let mapped = String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
        let trimmed = mapped.drop { $0 == "-" }.prefix(maximumLength)
        if !namesOfImages.contains(String(trimmed)), let name = try? NodeName(trimmed) {
            return name
        }
        for identity in [boardSerial, machineID] {
            let digits = (identity ?? "").lowercased().filter { $0.isASCII && $0.isHexDigit }
            // An unset serial number is all zeros: it tells no two boards apart.
            guard digits.count >= 8, digits.contains(where: { $0 != "0" }) else { continue }
            if let name = try? NodeName("pi-" + digits.suffix(8)) { return name }
        }
        return nil
    }
}
