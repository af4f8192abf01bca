import BrokerCore
import Daemon
import IO

extension BrokerSettings {
    /// The settings of `later` that differ and are read at the start alone: a reload leaves them waiting.
    func waiting(in later: BrokerSettings) -> [String] {
        let (observe, other) = (observe, later.observe)
        let differences = [
            ("threads", threads != later.threads),
            ("limits.password_checks", passwordChecks != later.passwordChecks),
            ("durability", broker.durability != later.broker.durability),
            ("store", store != later.store || broker.journal != later.broker.journal),
            (
                "observe",
                observe.systemInterval != other.systemInterval
                    || observe.serviceInterval != other.serviceInterval
            ),
            ("http", observe.httpAddress != other.httpAddress || observe.http != other.http),
            ("fleet", observe.fleet != other.fleet),
            ("control", observe.control != other.control),
        ]
        return differences.filter(\.1).map(\.0)
    }
}
