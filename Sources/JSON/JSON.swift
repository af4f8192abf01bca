import CJansson
import FleetModel

/// Parses JSON (RFC 8259) by jansson, strictly, whoever sent it.
///
/// Refused: ill-formed UTF-8, duplicate keys, text behind the value, integers beyond 64 bits, numbers
/// beyond a `Double`, U+0000, and what is larger or deeper than the limits.
public enum JSON {
    public static func parse(
        _ bytes: [UInt8], limits: JSONLimits = JSONLimits()
    ) throws(JSONError) -> JSONValue {
        try parse(bytes.span, limits: limits)
    }

    public static func parse(
        _ bytes: Span<UInt8>, limits: JSONLimits = JSONLimits()
    ) throws(JSONError) -> JSONValue {
        guard bytes.count <= limits.maximumBytes else {
            throw JSONError(.tooLarge(maximumBytes: limits.maximumBytes), line: 1, column: 1)
        }
        // Nothing has no address with Swift 6.2, which jansson would take for a wrong argument.
        guard !bytes.isEmpty else { throw JSONError(.endsTooEarly, line: 1, column: 1) }
        try checkDepth(bytes, limits.maximumDepth)

        var details = json_error_t()
        // SAFETY: jansson reads `count` bytes during the call and keeps none of them.
        let root = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) { characters in
                unsafe json_loadb(
                    characters.baseAddress, characters.count,
                    Int(JSON_REJECT_DUPLICATES | JSON_DECODE_ANY), &details)
            }
        }
        guard let root = unsafe root else {
            let (line, column) = (Int(details.line), Int(details.column))
            throw unsafe JSONError(
                JSONError.Reason(janssonCode: cjansson_error_code(&details)), line: max(line, 1),
                column: max(column, 1))
        }
        // SAFETY: json_loadb gave this reference to us; everything below is copied before.
        defer { unsafe json_decref(root) }
        return unsafe value(root)
    }

    /// Copies jansson's tree; its depth was checked.
    private static func value(_ json: UnsafeMutablePointer<json_t>) -> JSONValue {
        // SAFETY: `json` and what it holds live as long as the root; each accessor fits the type that
        // jansson says the node has.
        switch unsafe json.pointee.type {
        case JSON_NULL: return .null
        case JSON_TRUE: return .bool(true)
        case JSON_FALSE: return .bool(false)
        case JSON_INTEGER: return unsafe .integer(Int64(json_integer_value(json)))
        case JSON_REAL: return unsafe .number(json_real_value(json))
        case JSON_STRING:
            return unsafe .string(string(json_string_value(json), json_string_length(json)))
        case JSON_ARRAY:
            let count = unsafe json_array_size(json)
            var values: [JSONValue] = []
            values.reserveCapacity(count)
            for index in 0..<count {
                if let element = unsafe json_array_get(json, index) {
                    unsafe values.append(value(element))
                }
            }
            return .array(values)
        default:
            var members: [JSONObject.Member] = []
            unsafe members.reserveCapacity(json_object_size(json))
            var iterator = unsafe json_object_iter(json)
            while let position = unsafe iterator {
                if let key = unsafe json_object_iter_key(position),
                    let member = unsafe json_object_iter_value(position)
                {
                    unsafe members.append(.init(String(cString: key), value(member)))
                }
                unsafe iterator = json_object_iter_next(json, position)
            }
            return .object(JSONObject(members))
        }
    }

    private static func string(_ pointer: UnsafePointer<CChar>?, _ count: Int) -> String {
        guard let pointer = unsafe pointer else { return "" }
        let buffer = unsafe UnsafeRawBufferPointer(start: pointer, count: count)
        return unsafe String(decoding: buffer, as: UTF8.self)
    }

    /// Counts brackets outside strings, before a parser that recurses sees them.
    private static func checkDepth(
        _ bytes: Span<UInt8>, _ maximum: Int
    ) throws(JSONError) {
        var depth = 0
        var inString = false
        var escaped = false
        var line = 1
        var lineStart = 0
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "\n"):
                line += 1
                lineStart = index + 1
            case _ where escaped: escaped = false
            case UInt8(ascii: "\\") where inString: escaped = true
            case UInt8(ascii: "\""): inString.toggle()
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                if inString { break }
                depth += 1
                if depth > maximum {
                    throw JSONError(
                        .tooDeep(maximumDepth: maximum), line: line, column: index - lineStart + 1)
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if !inString { depth -= 1 }
            default: break
            }
        }
    }
}
