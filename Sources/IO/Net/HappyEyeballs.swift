import MQTT

/// Which address to try when: both families raced, RFC 8305. A pure machine; `Connector` acts for it.
///
/// After every event, ask `next` until it says to wait.
struct HappyEyeballs {
    /// Between two attempts while none has failed (RFC 8305, 5).
    static let attemptDelay = Duration.milliseconds(250)
    /// How long an IPv4 answer waits for the IPv6 answer (RFC 8305, 3).
    static let resolutionDelay = Duration.milliseconds(50)
    /// How long to wait for an answer when there is an address that was good last time.
    static let resolutionPatience = Duration.seconds(3)
    /// Addresses of one family that are tried; a name with more is odd.
    static let maximumAddresses = 16

    enum Action: Equatable {
        /// Start an attempt.
        case start(SocketAddress)
        /// Nothing to do before the next event or this time; `nil`: before the next event.
        case wait(until: MonotonicTime?)
        /// Nothing is left to try.
        case giveUp
    }

    private struct Family {
        var isPending = true
        var waiting: [SocketAddress] = []
    }

    private let began: MonotonicTime
    /// The address that the last connection had.
    private let lastGood: SocketAddress?
    private var ipv6 = Family()
    private var ipv4 = Family()
    private var inFlight = 0
    private var hasStarted = false
    private var lastGoodTried = false
    private var nextIsIPv6 = true
    /// The first answer's time plus the wait for the other's.
    private var gate: MonotonicTime?
    private var nextAttempt = MonotonicTime.zero

    private(set) var resolutionErrors: [NameError] = []
    private(set) var attemptErrors: [IOError] = []

    init(lastGood: SocketAddress?, now: MonotonicTime) {
        self.lastGood = lastGood
        began = now
    }

    /// A family's addresses, the system's preferred first; none is an answer too.
    mutating func resolved(
        _ family: AddressFamily, _ addresses: [SocketAddress], _ now: MonotonicTime
    ) {
        var kept = Array(addresses.prefix(Self.maximumAddresses))
        if let lastGood, let index = kept.firstIndex(of: lastGood) {
            // What worked is most likely to work again; the name still says that it may.
            kept.remove(at: index)
            if !lastGoodTried { kept.insert(lastGood, at: 0) }
            if !hasStarted { nextIsIPv6 = family == .ipv6 }
        }
        switch family {
        case .ipv6: ipv6 = Family(isPending: false, waiting: kept)
        case .ipv4:
            ipv4 = Family(isPending: false, waiting: kept)
            // IPv6 is preferred, so its answer gets a moment more.
            if ipv6.isPending && !kept.isEmpty { gate = now + Self.resolutionDelay }
        }
    }

    mutating func resolutionFailed(
        _ family: AddressFamily, _ error: NameError, _ now: MonotonicTime
    ) {
        resolutionErrors.append(error)
        resolved(family, [], now)
    }

    mutating func attemptFailed(_ error: IOError, _ now: MonotonicTime) {
        precondition(inFlight > 0)
        inFlight -= 1
        attemptErrors.append(error)
        nextAttempt = now
    }

    mutating func next(_ now: MonotonicTime) -> Action {
        if inFlight > 0 && now < nextAttempt {
            return .wait(until: hasCandidate ? nextAttempt : nil)
        }
        if !hasStarted, ipv6.isPending, let gate, now < gate { return .wait(until: gate) }
        guard let address = takeCandidate(now) else {
            if inFlight > 0 { return .wait(until: nil) }
            guard ipv6.isPending || ipv4.isPending else { return .giveUp }
            return .wait(until: canStillTryLastGood ? began + Self.resolutionPatience : nil)
        }
        if address == lastGood { lastGoodTried = true }
        hasStarted = true
        inFlight += 1
        nextAttempt = now + Self.attemptDelay
        return .start(address)
    }

    private var canStillTryLastGood: Bool { lastGood != nil && !lastGoodTried && !hasStarted }

    private var hasCandidate: Bool {
        !ipv6.waiting.isEmpty || !ipv4.waiting.isEmpty
    }

    private mutating func takeCandidate(_ now: MonotonicTime) -> SocketAddress? {
        if ipv6.waiting.isEmpty && ipv4.waiting.isEmpty { return takeLastGood(now) }
        let takesIPv6 = ipv4.waiting.isEmpty || nextIsIPv6 && !ipv6.waiting.isEmpty
        nextIsIPv6 = !takesIPv6
        return takesIPv6 ? ipv6.waiting.removeFirst() : ipv4.waiting.removeFirst()
    }

    /// The address of last time, where the name gave none: the resolver failed or does not answer.
    private func takeLastGood(_ now: MonotonicTime) -> SocketAddress? {
        guard canStillTryLastGood else { return nil }
        let isHopeless = !ipv6.isPending && !ipv4.isPending
        return isHopeless || now >= began + Self.resolutionPatience ? lastGood : nil
    }
}
