/// What could not be taken over, each with its place.
struct ImportNotes {
    private(set) var lines: [String] = []

    mutating func add(_ origin: MosquittoOrigin, _ name: String, _ text: String) {
        lines.append("\(origin.text): \(name): \(text)")
    }

    mutating func add(_ text: String) { lines.append(text) }
}
