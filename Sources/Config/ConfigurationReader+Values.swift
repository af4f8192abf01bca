/// One getter for each kind of setting. Without a default, an optional: `nil` when nobody set it.
extension ConfigurationReader {
    // MARK: Strings

    public func string(_ key: String) -> String? {
        parsed(key) { $0 }
    }

    public func string(_ key: String, default standard: String) -> String {
        parsed(key, default: standard) { $0 }
    }

    /// A setting that has no default; a problem when it is missing.
    public func required(_ key: String, hint: String? = nil) -> String {
        requiredParsed(key, hint: hint) { $0 } ?? ""
    }

    /// A path of the file system; a relative one starts at the folder of the file that says so.
    public func path(_ key: String) -> String? {
        let origin = origin(of: key)
        return parsed(key) { path in
            guard !path.isEmpty else { throw ConfigurationProblem("is empty") }
            guard !path.utf8.contains(0) else { throw ConfigurationProblem("holds a U+0000") }
            guard !path.hasPrefix("/"), case .file(let file, _, _) = origin,
                let slash = file.lastIndex(of: "/")
            else { return path }
            return file[...slash] + path
        }
    }

    /// The path of a file with a secret. One that this process cannot read is taken from what systemd has
    /// loaded for it, by the file's name: LoadCredential=, systemd.exec(5).
    public func secretPath(_ key: String) -> String? {
        path(key).map { CredentialFolder.ofProcess.path(for: $0) }
    }

    /// One of the raw values of `Choice`.
    public func choice<Choice>(_ key: String, default standard: Choice) -> Choice
    where Choice: CaseIterable & RawRepresentable, Choice.RawValue == String {
        parsed(key, default: standard.rawValue) { text in
            if let choice = Choice(rawValue: text) { return choice }
            let all = Choice.allCases.map { TOMLText.string($0.rawValue) }
            throw ConfigurationProblem("must be one of \(all.joined(separator: ", "))")
        }
    }

    // MARK: Types of the caller

    /// A string that `parse` turns into a value; whatever it throws becomes the problem's text.
    public func parsed<Value>(
        _ key: String, parse: (String) throws -> Value
    ) -> Value? {
        guard let value = take(key) else { return nil }
        return read(value, key, parse: parse)
    }

    /// As above; `standard` is the default as one would write it.
    public func parsed<Value>(
        _ key: String, default standard: String, parse: (String) throws -> Value
    ) -> Value {
        if let value = parsed(key, parse: parse) { return value }
        if content[key] == nil { note(key, TOMLText.string(standard), nil) }
        do {
            return try parse(standard)
        } catch {
            preconditionFailure("the default of \(name(key)) is no valid value")
        }
    }

    /// As above, for a setting without default; `nil` and a problem when it is missing or wrong.
    public func requiredParsed<Value>(
        _ key: String, hint: String? = nil, parse: (String) throws -> Value
    ) -> Value? {
        if content[key] == nil { reportMissing(key, hint: hint) }
        return parsed(key, parse: parse)
    }

    /// Notes that `key` is missing, at its table.
    public func reportMissing(_ key: String, hint: String? = nil) {
        add(ConfigurationProblem("\(name(key)) is missing", at: origin, hint: hint))
    }

    // MARK: Lists

    public func strings(_ key: String, default standard: [String]) -> [String] {
        parsedList(key, default: standard) { $0 }
    }

    /// A list of strings, each turned into a value by `parse`.
    public func parsedList<Value>(
        _ key: String, default standard: [String], parse: (String) throws -> Value
    ) -> [Value] {
        if let value = take(key) {
            if case .array(let elements) = value.content {
                note(key, TOMLText.value(value), value.origin)
                return elements.compactMap { element in
                    read(element, key, noting: false, parse: parse)
                }
            }
            report(value, expected: "an array of strings", key)
        } else {
            note(key, TOMLText.strings(standard), nil)
        }
        do {
            return try standard.map(parse)
        } catch {
            preconditionFailure("the default of \(name(key)) is no valid value")
        }
    }

    /// A list of strings, empty when it is not there; `parse` is told where each of them stands.
    public func locatedList<Value>(
        _ key: String, parse: (String, ConfigurationOrigin) throws -> Value
    ) -> [Value] {
        guard let value = take(key) else {
            note(key, TOMLText.strings([]), nil)
            return []
        }
        guard case .array(let elements) = value.content else {
            report(value, expected: "an array of strings", key)
            return []
        }
        note(key, TOMLText.value(value), value.origin)
        return elements.compactMap { element in
            read(element, key, noting: false) { try parse($0, element.origin) }
        }
    }

    // MARK: Numbers

    public func boolean(_ key: String, default standard: Bool) -> Bool {
        guard let value = take(key) else {
            note(key, "\(standard)", nil)
            return standard
        }
        guard case .boolean(let flag) = value.content else {
            report(value, expected: "true or false", key)
            return standard
        }
        note(key, "\(flag)", value.origin)
        return flag
    }

    public func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = take(key) else { return nil }
        guard case .integer(let number) = value.content else {
            report(value, expected: "an integer", key)
            return nil
        }
        guard let number = Int(exactly: number), range.contains(number) else {
            problem(key, "must be from \(range.lowerBound) to \(range.upperBound), not \(number)")
            return nil
        }
        note(key, "\(number)", value.origin)
        return number
    }

    public func integer(_ key: String, default standard: Int, in range: ClosedRange<Int>) -> Int {
        integer(key, in: range) ?? fall(key, back: standard, "\(standard)")
    }

    public func number(_ key: String, in range: ClosedRange<Double>) -> Double? {
        guard let value = take(key) else { return nil }
        let number: Double
        switch value.content {
        case .number(let double): number = double
        case .integer(let integer): number = Double(integer)
        default:
            report(value, expected: "a number", key)
            return nil
        }
        guard range.contains(number) else {
            problem(key, "must be from \(range.lowerBound) to \(range.upperBound), not \(number)")
            return nil
        }
        note(key, TOMLText.number(number), value.origin)
        return number
    }

    public func number(
        _ key: String, default standard: Double, in range: ClosedRange<Double>
    ) -> Double {
        number(key, in: range) ?? fall(key, back: standard, TOMLText.number(standard))
    }

    // MARK: Durations and sizes

    public func duration(_ key: String, in range: ClosedRange<Duration>) -> Duration? {
        guard let value = take(key) else { return nil }
        guard case .string(let text) = value.content, let duration = DurationText.parse(text) else {
            let hint = "a number and a unit of ms, s, min, h or d"
            if case .string = value.content {
                problem(key, "is not a duration such as \"5s\" or \"10 min\"", hint: hint)
            } else {
                report(value, expected: "a duration such as \"5s\" or \"10 min\"", key, hint: hint)
            }
            return nil
        }
        guard range.contains(duration) else {
            let (low, high) = (range.lowerBound, range.upperBound)
            problem(
                key,
                "must be from \(DurationText.format(low)) to \(DurationText.format(high)), not \(text)"
            )
            return nil
        }
        note(key, TOMLText.string(text), value.origin)
        return duration
    }

    public func duration(
        _ key: String, default standard: Duration, in range: ClosedRange<Duration>
    ) -> Duration {
        duration(key, in: range)
            ?? fall(key, back: standard, TOMLText.string(DurationText.format(standard)))
    }

    /// In bytes; an integer without unit counts bytes too.
    public func size(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = take(key) else { return nil }
        let bytes: Int?
        switch value.content {
        case .string(let text): bytes = SizeText.parse(text)
        case .integer(let integer): bytes = Int(exactly: integer)
        default:
            report(value, expected: "a size such as \"64KiB\"", key)
            return nil
        }
        guard let bytes else {
            problem(key, "is not a size such as \"64KiB\"", hint: "units are B, KiB, MiB, GiB")
            return nil
        }
        guard range.contains(bytes) else {
            let (low, high) = (range.lowerBound, range.upperBound)
            problem(
                key,
                "must be from \(SizeText.format(low)) to \(SizeText.format(high)), not \(bytes)B")
            return nil
        }
        note(key, TOMLText.value(value), value.origin)
        return bytes
    }

    public func size(_ key: String, default standard: Int, in range: ClosedRange<Int>) -> Int {
        size(key, in: range)
            ?? fall(key, back: standard, TOMLText.string(SizeText.format(standard)))
    }

    // MARK: Shared

    /// The default, noted as such unless something wrong stands in its place.
    private func fall<Value>(_ key: String, back standard: Value, _ text: String) -> Value {
        if content[key] == nil { note(key, text, nil) }
        return standard
    }

    private func read<Value>(
        _ value: ConfigurationValue, _ key: String, noting: Bool = true,
        parse: (String) throws -> Value
    ) -> Value? {
        guard case .string(let text) = value.content else {
            report(value, expected: "a string", key)
            return nil
        }
        do {
            let result = try parse(text)
            if noting { note(key, TOMLText.string(text), value.origin) }
            return result
        } catch let problem as ConfigurationProblem {
            // The text itself stays out: it may be an address that somebody put a password into.
            self.problem(key, problem.message, hint: problem.hint, at: value.origin)
        } catch {
            self.problem(key, "\(error)", at: value.origin)
        }
        return nil
    }
}

/// What a parse function throws to say what is wrong with a text; place and key are added.
extension ConfigurationProblem: Error {}
