import FleetModel
import MQTT

extension AgentCore {
    /// The will of every connection: `offline`, instance and session, and no time.
    public var will: Publication {
        let status = Status(
            state: .offline, instance: configuration.instance, session: configuration.session)
        return Publication(
            topic: configuration.topic(.status), payload: status.encode(), retain: true)
    }

    /// The broker accepted the connection.
    public mutating func connected(at now: Moment) {
        guard phase != .stopped else { return }
        since = now
        heardOurselves = false
        if phase == .quiet {
            phase = .probation(until: now.monotonic + AgentLimits.probation)
            publishStatus()
        } else {
            publishStatus()
            becomeOnline(at: now)
        }
    }

    /// The connection ended; readings go on and wait in the client's queue.
    public mutating func disconnected(at now: Moment) {
        reassertDue = .distantFuture
        switch phase {
        case .online: phase = .away
        case .probation: phase = .quiet
        case .away, .quiet, .stopped: break
        }
    }

    /// The program is told to end: says `offline` itself, because an orderly end has no will.
    public mutating func stop(at now: Moment) {
        let wasOnline = phase == .online
        phase = .stopped
        reassertDue = .distantFuture
        guard wasOnline else { return }
        let status = Status(
            state: .offline, instance: configuration.instance, session: configuration.session,
            since: clockIsSynchronised ? now.timestamp : nil, version: FleetVersion.current,
            why: "stopped")
        publish(.status, status.encode(), retain: true)
    }

    /// Publishes everything that is retained, and from now on measures.
    mutating func becomeOnline(at now: Moment) {
        phase = .online
        publishRetained(at: now)
    }

    private mutating func publishRetained(at now: Moment) {
        publish(.info, configuration.info.encode(), retain: true)
        if !clockOffsets.boots.isEmpty { publish(.clock, clockOffsets.encode(), retain: true) }
        stateGroups.publishAllNow()
        publishState(at: now)
        publishHealth(at: now)
    }

    private var sinceTimestamp: Timestamp? { clockIsSynchronised ? since.timestamp : nil }

    mutating func publishStatus() {
        let status = Status(
            state: .online, instance: configuration.instance, session: configuration.session,
            since: sinceTimestamp, version: FleetVersion.current)
        publish(.status, status.encode(), retain: true)
    }

    /// Someone's word on our own status: our late will, or another machine with our name.
    mutating func heardStatus(_ status: Status, at now: Moment) {
        guard phase != .stopped, phase != .away, phase != .quiet else { return }
        if status.instance == configuration.instance, status.session == configuration.session,
            status.state == .online
        {
            heardOurselves = true
            return
        }
        // Before our own `online` came back, all that we hear is older than it: the broker has
        // overwritten it already, and whoever lives and disagrees will say so again.
        guard heardOurselves else { return }
        guard let instance = status.instance, instance != configuration.instance else {
            // Our late will, or somebody cleared the topic.
            if status.state == .offline { reassertSoon(at: now) }
            return
        }
        switch status.state {
        case .offline:
            // Its word is retained in place of ours; it is gone, so the name is ours alone.
            if case .probation = phase { becomeOnline(at: now) }
            reassertSoon(at: now)
        case .online where isLater(than: status, instance: instance):
            becomeQuiet(other: instance, since: status.since)
        case .online:
            log(.warning, sharedName(other: instance, consequence: "the other one should go quiet"))
            reassertSoon(at: now)
        }
    }

    private func isLater(than other: Status, instance: Instance) -> Bool {
        switch (sinceTimestamp, other.since) {
        case (let ours?, let theirs?) where ours != theirs: ours > theirs
        case (nil, _?): true
        case (_?, nil): false
        default: configuration.instance > instance
        }
    }

    private mutating func becomeQuiet(other: Instance, since: Timestamp?) {
        phase = .quiet
        reassertDue = .distantFuture
        for index in sensors.indices { sensors[index].forgetPublication() }
        let jitter = 0.8 + 0.4 * generator.nextUnit()
        let wait = AgentLimits.quietTime * jitter
        let minutes = wait.components.seconds / 60
        log(
            .error,
            sharedName(
                other: other,
                consequence: "it was there first, so this agent is quiet and tries again in "
                    + "\(minutes) min; give one of them another 'node' in its agent.toml"))
        actions.append(.disconnect(retryAfter: wait))
    }

    private func sharedName(other: Instance, consequence: String) -> String {
        "another machine (instance \(other)) publishes as \(configuration.site)/"
            + "\(configuration.node): \(consequence)"
    }

    private mutating func reassertSoon(at now: Moment) {
        reassertDue = max(now.monotonic, lastReassertion + AgentLimits.reassertSpacing)
        if reassertDue <= now.monotonic { reassert(at: now) }
    }

    mutating func reassert(at now: Moment) {
        reassertDue = .distantFuture
        lastReassertion = now.monotonic
        heardOurselves = false
        publishStatus()
        if phase == .online { publishRetained(at: now) }
    }
}
