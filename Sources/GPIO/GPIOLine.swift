import CGPIO
import Glibc
public import IO

/// Which line is asked for: by its name, or by a chip and the line's number on it.
public struct GPIOLineRequest: Hashable, Sendable {
    public enum Bias: String, Hashable, Sendable, CaseIterable {
        case asIs = "as-is"
        case disabled, pullUp = "pull-up"
        case pullDown = "pull-down"
    }

    public enum Place: Hashable, Sendable {
        /// As `gpioinfo` shows it, looked for on `chip` or on all chips: `GPIO17`.
        case name(String, chip: String?)
        /// The chip by name, label or path, and the line's offset: `pinctrl-bcm2711`, 17.
        case offset(UInt32, chip: String)
    }

    public var place: Place
    /// The line counts as 1 when it is at ground.
    public var isActiveLow: Bool
    public var bias: Bias
    public var wantsRisingEdges: Bool
    public var wantsFallingEdges: Bool

    public init(
        _ place: Place, isActiveLow: Bool = false, bias: Bias = .asIs,
        wantsRisingEdges: Bool = false, wantsFallingEdges: Bool = false
    ) {
        self.place = place
        self.isActiveLow = isActiveLow
        self.bias = bias
        self.wantsRisingEdges = wantsRisingEdges
        self.wantsFallingEdges = wantsFallingEdges
    }
}

/// One edge, with the kernel's time stamp.
public struct GPIOEdge: Hashable, Sendable {
    public var isRising: Bool
    /// The kernel's CLOCK_MONOTONIC when the interrupt came.
    public var nanoseconds: UInt64
    /// Counts this line's edges since it was requested; `nil` with libgpiod 1.6, which cannot tell.
    public var sequence: UInt64?
}

/// An input line that this process holds until it goes, by libgpiod (1.6 or 2.x).
///
/// Calls are short ioctls and may be made on a loop's thread. Safe: the C object never leaves it.
@safe public final class GPIOLine {
    private let line: UnsafeMutablePointer<fleet_gpio>
    /// Becomes readable with an edge: a duplicate, so that it can be watched and closed as any other.
    /// `nil` where no edges were asked for.
    private let descriptor: FileDescriptor?

    /// Which API of libgpiod this program was built with: 1 or 2.
    public static var api: Int { Int(FLEET_GPIO_API) }

    /// Requests the line. Throws why it cannot be had, with the holder where another process has it.
    public init(_ wanted: GPIOLineRequest, consumer: String) throws(GPIOError) {
        let (name, chip, offset): (String?, String?, UInt32) =
            switch wanted.place {
            case .name(let name, let chip): (name, chip, 0)
            case .offset(let offset, let chip): (nil, chip, offset)
            }
        var request = unsafe fleet_gpio_request()
        unsafe request.offset = offset
        unsafe request.active_low = wanted.isActiveLow
        unsafe request.rising = wanted.wantsRisingEdges
        unsafe request.falling = wanted.wantsFallingEdges
        unsafe request.bias = wanted.bias.raw
        var opened: UnsafeMutablePointer<fleet_gpio>?
        var holder = [CChar](repeating: 0, count: Int(FLEET_GPIO_CONSUMER))
        // SAFETY: the strings and `holder` are lent for the call; `opened` is ours on success.
        let code = unsafe withOptionalCString(name) { name in
            unsafe withOptionalCString(chip) { chip in
                unsafe consumer.withCString { consumer in
                    unsafe request.line_name = name
                    unsafe request.chip = chip
                    unsafe request.consumer = consumer
                    return unsafe fleet_gpio_open(&request, &opened, &holder)
                }
            }
        }
        guard code == 0, let opened = unsafe opened else {
            let bytes = holder.prefix { $0 != 0 }.map { UInt8(truncatingIfNeeded: $0) }
            let consumer = String(decoding: bytes, as: UTF8.self)
            throw GPIOError(code: code, place: wanted.place, holder: consumer)
        }
        unsafe line = opened
        let number = unsafe fleet_gpio_fd(opened)
        let duplicate = number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, 0) : -1
        descriptor = duplicate >= 0 ? FileDescriptor(takingOwnership: duplicate) : nil
        if number >= 0, duplicate < 0 {
            throw GPIOError(code: errno, place: wanted.place, holder: "")
        }
    }

    deinit {
        // SAFETY: the one owner, once.
        unsafe fleet_gpio_close(line)
    }

    /// Whether the line is active now.
    public func value() throws(IOError) -> Bool {
        let value = unsafe fleet_gpio_value(line)
        if value < 0 { throw IOError("gpio get value", ErrorNumber(rawValue: errno)) }
        return value != 0
    }

    /// The edges that wait, at most 16. Call it when `descriptor` is readable; otherwise it blocks.
    public func readEdges() throws(IOError) -> [GPIOEdge] {
        let none = fleet_gpio_event(rising: false, nanoseconds: 0, sequence: 0)
        var events = [fleet_gpio_event](repeating: none, count: Int(FLEET_GPIO_EVENTS))
        // SAFETY: the call writes at most FLEET_GPIO_EVENTS elements.
        let count = unsafe fleet_gpio_read(line, &events)
        if count < 0 { throw IOError("gpio read edges", ErrorNumber(rawValue: errno)) }
        return events.prefix(Int(count)).map {
            GPIOEdge(
                isRising: $0.rising, nanoseconds: $0.nanoseconds,
                sequence: $0.sequence == 0 ? nil : $0.sequence)
        }
    }

    /// Has `handler` called when edges wait; nothing where none were asked for.
    public func watch(on loop: EventLoop, handler: any EventHandler) throws(IOError) {
        guard descriptor != nil else { return }
        try withDescriptor { (descriptor) throws(IOError) in
            try loop.add(descriptor, interest: .readable, token: 0, handler: handler)
        }
    }

    /// Ends `watch`; to be called before the line goes.
    public func unwatch(on loop: EventLoop) {
        withDescriptor { loop.remove($0) }
    }

    private func withDescriptor<Failure>(
        _ body: (borrowing FileDescriptor) throws(Failure) -> Void
    ) throws(Failure) {
        switch descriptor {
        case .some(let descriptor): try body(descriptor)
        case .none: break
        }
    }

    /// How long ago `nanoseconds` was on the clock of the edges' time stamps; zero for what cannot be.
    public static func age(ofNanoseconds nanoseconds: UInt64) -> Duration {
        var time = timespec()
        // SAFETY: the kernel fills the struct that lives for the call.
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        // Kernels before 5.7 stamped with the wall clock; an edge never waits for an hour.
        guard nanoseconds <= now, now - nanoseconds < 3_600_000_000_000 else { return .zero }
        return .nanoseconds(Int64(now - nanoseconds))
    }
}

/// Why a line cannot be had.
public struct GPIOError: Error, Hashable, Sendable, CustomStringConvertible {
    public var code: ErrorNumber
    public var place: GPIOLineRequest.Place
    /// The consumer name of the process that holds the line, where it is known.
    public var holder: String

    init(code: Int32, place: GPIOLineRequest.Place, holder: String) {
        self.code = ErrorNumber(rawValue: code)
        self.place = place
        self.holder = holder
    }

    /// Short enough for the `why` of a measurement.
    public var description: String {
        switch code.rawValue {
        case EBUSY: "\(place) is held by \(holder.isEmpty ? "another process" : "'\(holder)'")"
        case ENOENT, ENODEV: "there is no \(place); 'gpioinfo' lists all lines"
        case EACCES, EPERM: "\(place): no permission; add the user to the group 'gpio'"
        default: "\(place): \(code)"
        }
    }
}

extension GPIOLineRequest.Place: CustomStringConvertible {
    public var description: String {
        switch self {
        case .name(let name, let chip?): "line \(name) on \(chip)"
        case .name(let name, nil): "line \(name)"
        case .offset(let offset, let chip): "line \(offset) on \(chip)"
        }
    }
}

extension GPIOLineRequest.Bias {
    var raw: fleet_gpio_bias {
        switch self {
        case .asIs: FLEET_GPIO_BIAS_AS_IS
        case .disabled: FLEET_GPIO_BIAS_DISABLED
        case .pullUp: FLEET_GPIO_BIAS_PULL_UP
        case .pullDown: FLEET_GPIO_BIAS_PULL_DOWN
        }
    }
}

private func withOptionalCString<Result>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) -> Result
) -> Result {
    guard let text else { return body(nil) }
    return unsafe text.withCString { unsafe body($0) }
}
