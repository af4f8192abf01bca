/// The names of the listeners that sessions' clients came through, each once, by number.
struct ListenerNames {
    /// Of no name.
    static let none: UInt32 = 0

    private var names = [""]

    subscript(number: UInt32) -> String { names[Int(number)] }

    /// There are as many as a configuration has listeners, and few more after many reloads.
    mutating func number(of name: String) -> UInt32 {
        if let known = names.firstIndex(of: name) { return UInt32(known) }
        names.append(name)
        return UInt32(names.count - 1)
    }
}
