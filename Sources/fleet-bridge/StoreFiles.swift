import BridgeCore
import Daemon
import FleetModel
import IO
import MQTT
import Store

/// The store's files in the state folder, and what to do with a damaged one.
struct StoreFiles {
    let folder: String
    static let name = "bridge.db"
    var path: String { folder + "/" + Self.name }
    /// Its presence says that the store was found damaged while it was in use.
    private var mark: String { path + ".damaged" }

    /// Stores that were put aside, so far as they still lie there.
    let quarantined: Int

    init(folder: String) {
        self.folder = folder
        quarantined = StoreFile.quarantined(folder + "/" + Self.name).count
    }

    func markDamaged() {
        // Where not even this can be written, the next start finds out by itself or works.
        try? Files.writeAtomically(mark, [UInt8]().span)
    }

    /// Opens the store; a damaged one is put aside first, and the bridge goes on with a new one.
    func open(
        limits: BridgeStore.Limits, log: Log,
        onEvent: @escaping @Sendable (StoreThread.Event) -> Void
    ) throws -> BridgeStore {
        if Files.exists(mark) {
            try quarantine(log, "it was found damaged while in use")
            try Files.remove(mark)
        }
        do throws(StoreError) {
            return try BridgeStore.start(path: path, limits: limits, onEvent: onEvent)
        } catch {
            guard error.kind == .corrupt else { throw error }
            try quarantine(log, error.message)
            return try BridgeStore.start(path: path, limits: limits, onEvent: onEvent)
        }
    }

    private func quarantine(_ log: Log, _ why: String) throws {
        let target = try StoreFile.quarantine(path)
        log.error(
            "the store is damaged and was put aside; what it held is not forwarded",
            ["why": why, "file": target, "hint": "keep the file until someone has looked at it"])
    }
}

/// A store that is open, and what it began with.
struct OpenedStore {
    var store: BridgeStore
    var files: StoreFiles
    var content: BridgeStore.Opened
    var instance: Instance

    init(
        _ settings: BridgeSettings, machine: MachineIdentity, context: DaemonContext,
        onEvent: @escaping @Sendable (StoreThread.Event) -> Void
    ) throws {
        let folder = context.state.path
        let (instance, isNew, _) = try InstanceFile.load(folder: folder, machine: machine)
        self.instance = instance
        if isNew { context.log.notice("new instance", ["instance": instance]) }
        let before = StoreFiles(folder: folder)
        let store = try before.open(
            limits: settings.store, log: context.log, onEvent: onEvent)
        self.store = store
        files = StoreFiles(folder: folder)
        var random = SystemRandom()
        content = try store.begin(
            instance: instance.bits, newEpoch: random.next(),
            unixSeconds: Int(SystemClock.unixMilliseconds() / 1000),
            filters: PerRoute(
                up: settings.routes.up.map(\.description),
                down: settings.routes.down.map(\.description)))
    }
}
