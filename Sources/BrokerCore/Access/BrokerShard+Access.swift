import MQTT

/// What a shard asks the rules.
extension BrokerShard {
    /// What a client may do; `nil` where nothing is forbidden.
    func resolveRights(_ principal: Principal) -> Rights? {
        configuration.access.isOpen ? nil : configuration.access.rights(for: principal)
    }

    /// The rights of a client that has just connected become those of its session.
    mutating func adopt(_ rights: Rights?, _ s: UInt32, _ c: UInt32) {
        let wasCurrent = sessions[s].rights?.policy === rights?.policy
        sessions[s].listener = listenerNames.number(of: connections[c].rules.value.listener)
        sessions[s].rights = rights
        connections[c].isRestricted = rights != nil
        // A session that comes back by another way, or after rules have changed, keeps what it may have.
        if rights == nil {
            sessions[s].checksDeliveries = false
        } else if !wasCurrent || rights?.policy.dependsOnListener == true {
            reviewSubscriptions(s)
        }
    }

    /// The rights of a session's client, made for it where there are no rules.
    mutating func rights(of s: UInt32) -> Rights {
        if let rights = sessions[s].rights { return rights }
        let rights = configuration.access.rights(for: principal(of: s))
        sessions[s].rights = rights
        return rights
    }

    func principal(of s: UInt32) -> Principal {
        Principal(
            user: sessions[s].owner, clientID: sessions[s].clientID,
            listener: listenerNames[sessions[s].listener])
    }

    /// Whether the client may publish to `topic`. Most publish to the topic of the last time.
    @inline(__always)
    mutating func mayPublish(_ topic: Span<UInt8>, _ c: UInt32) -> Bool {
        if connections[c].isAllowed(topic) { return true }
        return lookUpRight(topic, c)
    }

    @inline(never)
    private mutating func lookUpRight(_ topic: Span<UInt8>, _ c: UInt32) -> Bool {
        guard rights(of: connections[c].session).mayPublish(topic) else { return false }
        connections[c].allow([UInt8](copying: topic))
        return true
    }

    /// Whether a subscription is taken; notes when what it brings must be looked at.
    mutating func maySubscribe(_ filter: TopicFilter, _ s: UInt32) -> Bool {
        guard let rights = sessions[s].rights else { return true }
        switch rights.subscription(filter) {
        case .denied: return false
        case .partial: sessions[s].checksDeliveries = true
        case .allowed: break
        }
        return true
    }

    /// Whether a message to `topic` may be delivered to a session that is looked at.
    mutating func mayRead(_ s: UInt32, _ topic: Span<UInt8>) -> Bool {
        sessions[s].rights?.mayRead(topic) ?? true
    }

    /// Whether a message that waited for the session may still be delivered.
    mutating func mayStillRead(_ s: UInt32, _ message: Message) -> Bool {
        guard sessions[s].checksDeliveries else { return true }
        let body = message.body
        return mayRead(s, body.span.extracting(message.view.topic.range))
    }

    /// A message that waited for the session is not delivered: the right was revoked meanwhile.
    mutating func dropNotAllowed(_ s: UInt32) {
        counters.droppedNotAllowed += 1
        sessions[s].droppedMessages += 1
    }

    /// Those retained messages that the session may read, and that their publishers may still publish.
    mutating func permitted(_ messages: [Message], to s: UInt32) -> [Message] {
        let policy = configuration.access
        guard !policy.isOpen else { return messages }
        var renewed: [ObjectIdentifier: Rights] = [:]
        return messages.filter { message in
            guard mayStillRead(s, message) else { return false }
            guard let publisher = message.publisher, publisher.policy !== policy else {
                return true
            }
            let key = ObjectIdentifier(publisher)
            let rights = renewed[key] ?? policy.rights(for: publisher.principal)
            renewed[key] = rights
            let body = message.body
            return rights.mayPublish(body.span.extracting(message.view.topic.range))
        }
    }
}
