import CJansson

/// What a parser accepts from a stranger at most.
public struct JSONLimits: Hashable, Sendable {
    /// Bytes of the whole text.
    public var maximumBytes: Int
    /// Arrays and objects within each other.
    public var maximumDepth: Int

    public init(maximumBytes: Int = 1 << 20, maximumDepth: Int = 32) {
        self.maximumBytes = maximumBytes
        self.maximumDepth = maximumDepth
    }
}

/// Why a text is no JSON, and where. It never holds any of the text itself.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: Hashable, Sendable {
        case tooLarge(maximumBytes: Int)
        case tooDeep(maximumDepth: Int)
        case illFormedUTF8
        case endsTooEarly
        case textAfterEnd
        case syntax
        case duplicateKey
        case numberTooLarge
        case holdsNull
        case noMemory
    }

    public var reason: Reason
    /// Both count from 1.
    public var line: Int
    public var column: Int

    init(_ reason: Reason, line: Int, column: Int) {
        self.reason = reason
        self.line = line
        self.column = column
    }

    public var description: String {
        let text =
            switch reason {
            case .tooLarge(let limit): "larger than \(limit) bytes"
            case .tooDeep(let limit): "nested deeper than \(limit)"
            case .illFormedUTF8: "not UTF-8"
            case .endsTooEarly: "ends too early"
            case .textAfterEnd: "text behind the value"
            case .syntax: "not JSON"
            case .duplicateKey: "a key twice in one object"
            case .numberTooLarge: "a number out of range"
            case .holdsNull: "holds U+0000"
            case .noMemory: "no memory"
            }
        return "line \(line), column \(column): \(text)"
    }
}

extension JSONError.Reason {
    /// From jansson's `enum json_error_code`.
    init(janssonCode: Int32) {
        self =
            switch UInt32(bitPattern: janssonCode) {
            case json_error_out_of_memory.rawValue: .noMemory
            case json_error_stack_overflow.rawValue: .tooDeep(maximumDepth: 2048)
            case json_error_invalid_utf8.rawValue: .illFormedUTF8
            case json_error_premature_end_of_input.rawValue: .endsTooEarly
            case json_error_end_of_input_expected.rawValue: .textAfterEnd
            case json_error_null_character.rawValue, json_error_null_byte_in_key.rawValue:
                .holdsNull
            case json_error_duplicate_key.rawValue: .duplicateKey
            case json_error_numeric_overflow.rawValue: .numberTooLarge
            default: .syntax
            }
    }
}
