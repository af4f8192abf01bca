import MQTT

/// What is written of each change. Where nothing is kept, these cost one test.
extension BrokerShard {
    /// Whether changes of this session are recorded.
    @inline(__always)
    mutating func isKept(_ s: UInt32) -> Bool {
        journal.isRecording && sessions[s].isRecorded && !sessions[s].isTransient
    }

    /// How durable a message is; asked once for each message that somebody keeps.
    mutating func durability(of message: Message) -> Durability {
        if let known = journal.durability(of: message) { return known }
        let body = message.body
        let topic = body.span.extracting(2..<message.propertiesStart)
        let found = durabilities.durability(of: topic)
        journal.remember(found, of: message)
        return found
    }

    // MARK: Sessions

    /// The session as it is, with its subscriptions; not its messages.
    mutating func recordSession(_ s: UInt32) {
        guard journal.isRecording else { return }
        sessions[s].isRecorded = true
        let isConnected = sessions.read(s) { $0.isConnected }
        journal.begin(.session, durabilities.strongest)
        journal.put(sessions[s].number)
        journal.put(UInt8((sessions[s].owner == nil ? 0 : 1) | (isConnected ? 0 : 2)))
        journal.put(UInt64(sessions[s].expirySeconds))
        journal.put(sessions[s].detachedAt)
        journal.put(sessions[s].nextPosition)
        journal.put(sessions[s].clientID)
        journal.put(sessions[s].owner ?? [])
        journal.put(Array(listenerNames[sessions[s].listener].utf8))
    }

    mutating func recordSessionEnd(_ s: UInt32) {
        guard journal.isRecording, sessions[s].isRecorded else { return }
        journal.dead(sessions[s].keptBytes)
        recordSessionEnd(number: sessions[s].number)
    }

    /// Once its will is safe in other shards: until then a crash would lose that with the session.
    mutating func recordSessionEndLater(_ s: UInt32) {
        guard journal.isRecording, sessions[s].isRecorded else { return }
        journal.dead(sessions[s].keptBytes)
        exchange.settlements.append((journal.current, .ended(number: sessions[s].number)))
    }

    mutating func recordSessionEnd(number: UInt64) {
        journal.begin(.sessionEnded, durabilities.strongest)
        journal.put(number)
    }

    mutating func recordExpiry(_ s: UInt32, _ seconds: UInt32) {
        guard journal.isRecording, sessions[s].isRecorded else { return }
        journal.begin(.sessionExpiry, durabilities.strongest)
        journal.put(sessions[s].number)
        journal.put(UInt64(seconds))
    }

    mutating func recordAttached(_ s: UInt32) {
        guard isKept(s) else { return }
        journal.begin(.attached, durabilities.standard)
        journal.put(sessions[s].number)
    }

    mutating func recordDetached(_ s: UInt32) {
        guard isKept(s) else { return }
        journal.beginLazily(.detached)
        journal.put(sessions[s].number)
        journal.put(sessions[s].detachedAt)
    }

    mutating func recordWill(_ s: UInt32) {
        guard isKept(s), let will = sessions[s].will else { return }
        let place = journal.place(of: will)
        journal.begin(.will, durabilities.standard)
        journal.put(sessions[s].number)
        journal.put(UInt64(sessions[s].willDelaySeconds))
        journal.put(place)
    }

    mutating func recordWillCleared(_ s: UInt32) {
        guard isKept(s) else { return }
        journal.begin(.willCleared, durabilities.standard)
        journal.put(sessions[s].number)
    }

    // MARK: Subscriptions

    mutating func recordSubscribed(_ s: UInt32, _ filter: TopicFilter, _ bits: UInt32) {
        guard isKept(s) else { return }
        journal.begin(.subscribed, durabilities.strongest)
        journal.put(sessions[s].number)
        // A shared one is told from one that only looks like it, of a client before 5.0.
        journal.put(UInt64(bits) | (filter.isShared ? RecoveredState.shared : 0))
        journal.put(filter.bytes)
    }

    mutating func recordUnsubscribed(_ s: UInt32, _ filter: [UInt8]) {
        guard isKept(s) else { return }
        journal.begin(.unsubscribed, durabilities.strongest)
        journal.put(sessions[s].number)
        journal.put(filter)
    }

    mutating func recordLookup(_ s: UInt32, _ lookup: RetainedLookup) {
        guard isKept(s) else { return }
        journal.begin(.lookup, durabilities.standard)
        journal.put(sessions[s].number)
        journal.put(lookup.qos.rawValue)
        journal.put(UInt64(lookup.identifier))
        journal.put(lookup.filter.bytes)
    }

    mutating func recordLookupDone(_ s: UInt32) {
        guard isKept(s) else { return }
        journal.beginLazily(.lookupDone)
        journal.put(sessions[s].number)
    }

    // MARK: Messages to a session

    /// The filter of the group that a message came through, if it did.
    func share(_ options: DeliveryOptions) -> [UInt8]? {
        options.group == 0
            ? nil : board.withShares { $0.filter(numbered: options.group)?.bytes }
    }

    /// Gives the message a position in the journal; 0 where it is not recorded.
    private mutating func takePosition(
        _ s: UInt32, _ message: Message
    ) -> (position: UInt64, durability: Durability) {
        guard isKept(s) else { return (0, .memory) }
        var durability = durability(of: message)
        if sessions[s].isReserved { durability = max(durability, .power) }
        guard durability != .memory else { return (0, .memory) }
        let position = sessions[s].nextPosition
        sessions[s].nextPosition += 1
        journal.live(message.keptBytes)
        sessions[s].keptBytes += message.keptBytes
        return (position, durability)
    }

    /// It waits in the session's queue. Returns its position, 0 where it is not recorded.
    mutating func recordQueued(
        _ s: UInt32, _ message: Message, _ options: inout DeliveryOptions
    ) -> UInt64 {
        let (position, durability) = takePosition(s, message)
        guard position != 0 else { return 0 }
        options.withstandsPowerCuts = durability == .power
        let place = journal.place(of: message)
        journal.begin(.queued, durability)
        journal.put(sessions[s].number)
        journal.put(position)
        journal.put(options, share: share(options))
        journal.put(place)
        return position
    }

    /// It is about to be sent for the first time under `packetID`, and never waited.
    mutating func recordInFlight(
        _ s: UInt32, _ message: Message, _ options: inout DeliveryOptions, _ packetID: UInt16
    ) -> UInt64 {
        let (position, durability) = takePosition(s, message)
        guard position != 0 else { return 0 }
        options.withstandsPowerCuts = durability == .power
        recordInFlight(
            s, message, options, packetID, position, stage: options.qos.rawValue - 1, durability)
        return position
    }

    /// `stage`: 0 awaits PUBACK, 1 PUBREC, `RecoveredState.released` PUBCOMP.
    mutating func recordInFlight(
        _ s: UInt32, _ message: Message?, _ options: DeliveryOptions, _ packetID: UInt16,
        _ position: UInt64, stage: UInt8, _ durability: Durability
    ) {
        let place = message.map { journal.place(of: $0) }
        journal.begin(.inFlight, durability)
        journal.put(sessions[s].number)
        journal.put(position)
        journal.put(options, share: share(options))
        journal.put(stage)
        journal.put(UInt64(packetID))
        if let place { journal.put(place) }
    }

    /// The first message of the queue left it for `packetID`.
    mutating func recordSent(_ s: UInt32, _ entry: QueuedMessage, _ packetID: UInt16) {
        guard entry.position != 0 else { return }
        journal.begin(.sent, entry.options.withstandsPowerCuts ? .power : .process)
        journal.put(sessions[s].number)
        journal.put(entry.position)
        journal.put(UInt64(packetID))
    }

    mutating func recordReceived(_ s: UInt32, _ entry: InFlightMessage, _ packetID: UInt16) {
        guard entry.position != 0 else { return }
        journal.begin(.received, entry.options.withstandsPowerCuts ? .power : .process)
        journal.put(sessions[s].number)
        journal.put(UInt64(packetID))
    }

    mutating func recordCompleted(_ s: UInt32, _ entry: InFlightMessage, _ packetID: UInt16) {
        guard entry.position != 0 else { return }
        journal.beginLazily(.completed)
        journal.put(sessions[s].number)
        journal.put(UInt64(packetID))
        if let message = entry.message { forget(s, message) }
    }

    /// A message left the queue without being sent: expired, too large, or no room.
    mutating func recordDropped(_ s: UInt32, _ entry: QueuedMessage) {
        guard entry.position != 0 else { return }
        recordDropped(entry.position, ofSession: sessions[s].number)
        forget(s, entry.message)
    }

    /// The message at a position of a session is not its own any more.
    mutating func recordDropped(_ position: UInt64, ofSession number: UInt64) {
        journal.beginLazily(.dropped)
        journal.put(number)
        journal.put(position)
    }

    /// It is not kept any more.
    mutating func forget(_ s: UInt32, _ message: Message) {
        journal.dead(message.keptBytes)
        sessions[s].keptBytes -= message.keptBytes
    }

    // MARK: Messages from a session

    /// A QoS 2 message came, and is routed once this is committed. Returns its serial number; `nil` where
    /// it is not recorded.
    mutating func recordIncoming(
        _ s: UInt32, _ message: Message, _ packetID: UInt16
    ) -> UInt64? {
        guard isKept(s) else { return nil }
        let durability = durability(of: message)
        guard durability != .memory else { return nil }
        sessions[s].recordedIncoming.insert(packetID)
        if durability == .power { sessions[s].powerIncoming.insert(packetID) }
        exchange.lastSerial &+= 1
        recordHeld(exchange.lastSerial, sessions[s].number, message, durability)
        recordIdentifier(s, packetID, durability)
        return exchange.lastSerial
    }

    /// A QoS 2 message of the session of that number.
    mutating func recordHeld(
        _ serial: UInt64, _ session: UInt64, _ message: Message, _ durability: Durability
    ) {
        let place = journal.place(of: message)
        journal.begin(.held, durability)
        journal.put(serial)
        journal.put(session)
        journal.put(place)
    }

    /// A packet identifier that waits for PUBREL.
    mutating func recordIdentifier(_ s: UInt32, _ packetID: UInt16, _ durability: Durability) {
        journal.begin(.incoming, durability)
        journal.put(sessions[s].number)
        journal.put(UInt64(packetID))
    }

    mutating func recordRouted(_ serial: UInt64) {
        journal.beginLazily(.routed)
        journal.put(serial)
    }

    /// This shard has routed to its own sessions what `shard` held, up to this message.
    mutating func recordTaken(_ serial: UInt64, of shard: Int) {
        exchange.peers[shard].taken = max(exchange.peers[shard].taken, serial)
        journal.beginLazily(.taken)
        journal.put(shard)
        journal.put(serial)
    }

    mutating func recordTaken(_ taken: TakenShare) {
        journal.beginLazily(.takenShare)
        journal.put(taken.origin.shard)
        journal.put(taken.origin.serial)
        journal.put(taken.filter)
    }

    /// How many shards write to the store.
    mutating func recordLayout() {
        guard journal.isRecording, position.count > 1 else { return }
        journal.beginLazily(.layout)
        journal.put(position.count)
    }

    /// PUBREL came; nothing is written where PUBLISH was not.
    mutating func recordReleased(_ s: UInt32, _ packetID: UInt16) {
        guard sessions[s].isRecorded, sessions[s].recordedIncoming.remove(packetID) else { return }
        let withstandsPowerCuts = sessions[s].powerIncoming.remove(packetID)
        journal.begin(.incomingReleased, withstandsPowerCuts ? .power : .process)
        journal.put(sessions[s].number)
        journal.put(UInt64(packetID))
    }

    // MARK: Retained messages

    /// Of several shards one writes all that is said of a topic, so that its records have an order.
    private func recordsRetained(_ topic: Span<UInt8>) -> Bool {
        journal.isRecording && position.isOwner(ofTopic: topic)
    }

    mutating func recordRetained(_ message: Message) {
        let body = message.body
        guard recordsRetained(body.span.extracting(2..<message.propertiesStart)) else { return }
        let durability = durability(of: message)
        guard durability != .memory else { return }
        let place = journal.place(of: message)
        journal.begin(.retained, durability)
        journal.put(place)
    }

    mutating func recordRetainedRemoved(_ topic: Span<UInt8>) {
        guard recordsRetained(topic) else { return }
        let durability = durabilities.durability(of: topic)
        guard durability != .memory else { return }
        journal.begin(.retainedRemoved, durability)
        journal.put(topic)
    }
}

extension Message {
    /// What it takes in the journal, about, for one session.
    var keptBytes: Int { body.count + 40 }
}
