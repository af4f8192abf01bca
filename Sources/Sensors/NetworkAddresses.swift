/// The machine's own addresses, from /proc/net, loopback and link-local ones left out.
enum NetworkAddresses {
    /// Addresses beyond this number are left out of `info`.
    static let limit = 8

    static func all(_ roots: KernelRoots) -> [String] {
        Array((version4(roots) + version6(roots)).prefix(limit))
    }

    /// `fib_trie` marks the host's own addresses with `/32 host LOCAL` on the line after them.
    private static func version4(_ roots: KernelRoots) -> [String] {
        guard let text = try? KernelFile.text(roots.proc + "/net/fib_trie") else { return [] }
        var addresses: [String] = []
        var last: Substring = ""
        for line in text.split(separator: "\n") {
            if let range = line.range(of: "|-- ") {
                last = line[range.upperBound...]
            } else if line.hasSuffix("/32 host LOCAL"), !last.hasPrefix("127."),
                !addresses.contains(String(last))
            {
                addresses.append(String(last))
            }
        }
        return addresses
    }

    /// `if_inet6`: address, index, prefix length, scope (00: global), flags, name.
    private static func version6(_ roots: KernelRoots) -> [String] {
        guard let text = try? KernelFile.text(roots.proc + "/net/if_inet6") else { return [] }
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 6, words[3] == "00", words[5] != "lo" else { return nil }
            return format(words[0])
        }
    }

    /// 32 hexadecimal digits as RFC 5952 writes an address.
    static func format(_ digits: Substring) -> String? {
        guard digits.utf8.count == 32 else { return nil }
        var groups: [UInt16] = []
        var rest = digits
        while !rest.isEmpty {
            guard let group = UInt16(rest.prefix(4), radix: 16) else { return nil }
            groups.append(group)
            rest = rest.dropFirst(4)
        }
        var longest = 0..<0
        var start = 0
        for index in 0...groups.count where index == groups.count || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        let text = { (part: ArraySlice<UInt16>) in
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard longest.count > 1 else { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}

extension Substring {
    /// The first place where `text` stands.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
