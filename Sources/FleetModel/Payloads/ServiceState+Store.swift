extension ServiceState {
    /// Stores that the service found damaged and put aside.
    public var quarantinedStores: Int {
        counter("stores_quarantined") ?? (counters["store"]?.string == "quarantined" ? 1 : 0)
    }

    /// What is wrong with the service's store, for people; `nil` where nothing is known to be.
    ///
    /// `store` among the counters is `none`, `ok`, `quarantined` (a damaged one was put aside, and a new
    /// one serves), `full` (what must be kept is refused) or `failed` (it cannot be written).
    public var storeProblem: String? {
        switch counters["store"]?.string {
        case "failed": return "its store cannot be written"
        case "full": return "its store has no room"
        default: break
        }
        switch quarantinedStores {
        case 0: return nil
        case 1: return "a damaged store was put aside"
        case let count: return "\(count) damaged stores were put aside"
        }
    }
}
