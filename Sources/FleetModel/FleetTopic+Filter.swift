extension FleetTopic {
    /// A family of channels that one topic filter asks for.
    public enum Family: String, CaseIterable, Sendable {
        case status, info, health, state, stateGroups, clock, links, measurements, events, alarms
        case services, commands, responses

        /// The filter's levels below the node.
        var levels: String {
            switch self {
            case .status: "status"
            case .info: "info"
            case .health: "health"
            case .state: "state"
            case .stateGroups: "state/+"
            case .clock: "clock"
            case .links: "link/+"
            case .measurements: "m/+"
            case .events: "event/+"
            case .alarms: "alarm/+/+"
            case .services: "service/+"
            case .commands: "cmd/+/+"
            case .responses: "res/+/+"
            }
        }
    }

    /// The topic filter for one family of channels; all sites and all nodes where none is given.
    public static func filter(
        _ family: Family, site: Site? = nil, scope: Scope? = nil
    ) -> String {
        "\(prefix)/\(site?.text ?? "+")/\(scope?.text ?? "+")/\(family.levels)"
    }
}
