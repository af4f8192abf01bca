import AgentCore
import Client
import Config
import Daemon
import FleetModel
import IO
import MQTT
import Sensors
import TLS

/// The agent at work: clocks, sensors, files and the broker around `AgentCore`.
final class AgentRunner {
    let context: DaemonContext
    let facts: MachineFacts
    let reader: SensorReader
    let client: MQTTClient
    let store: AgentStore
    let measurementLog: AppendingFile?
    var core: AgentCore
    /// Sensors by the number of their input in the core, for edges.
    private let inputOfSensor: [Int: Int]

    // Calls that block, each on its own leash; see `SensorReader` for the sensors.
    let healthThread: BlockingThread
    let storeThread: BlockingThread
    let inventoryThread: BlockingThread

    private var isPerforming = false
    private var timer: TimerID?
    var deliveries: [UInt64: DeliveryID] = [:]
    var nextDelivery: UInt64 = 0
    var lastFailure: ClientFailure?
    var isStopping = false

    private static let clockCheckInterval = Duration.seconds(5)
    /// How long a sample of the machine's health and an inventory may take.
    private static let gatherTimeout = Duration.seconds(30)

    /// - Parameter messages: what an agent before this one could not send; they go first.
    init(
        _ settings: AgentSettings, context: DaemonContext, messages: [OutgoingMessage] = []
    ) throws {
        self.context = context
        let loop = context.loop
        facts = MachineFacts(settings.roots)
        let machine = MachineIdentity.read(
            proc: settings.roots.proc, sys: settings.roots.sys, root: settings.roots.root)
        let node = try Self.nodeName(settings, machine)
        let identity = AgentIdentity(machine, folder: context.state.path, log: context.log)
        let sensors = settings.allSensors(facts)
        let lines = sensors.indices.filter { sensors[$0].reader.reportsEdges }
        inputOfSensor = Dictionary(
            uniqueKeysWithValues: lines.enumerated().map { ($0.element, $0.offset) })

        var info = facts.info(instance: identity.instance, serial: machine.boardSerial)
        info.sensors = sensors.map(\.info)
        var configuration = AgentConfiguration(
            site: settings.site, node: node, instance: identity.instance,
            session: identity.session, boot: identity.boot,
            sensors: sensors.map(\.configuration),
            inputs: lines.compactMap { try? InputName(sensors[$0].configuration.name.text) },
            info: info)
        configuration.health = settings.health

        store = AgentStore(folder: context.state.path)
        var commands: [CommandRecord] = []
        do throws(IOError) {
            commands = try store.loadCommands()
        } catch {
            context.log.error("the ids of earlier commands cannot be read: \(error)")
        }
        var random = SystemRandom()
        core = AgentCore(
            configuration, commands: commands, clockOffsets: store.loadClock(),
            clockIsSynchronised: settings.clockIsTrusted || facts.isClockTrustworthy,
            seed: random.next(), at: .now())
        reader = SensorReader(sensors.map(\.reader), roots: settings.roots, loop: loop)
        measurementLog = try settings.measurementLog.map { path throws(IOError) in
            try AppendingFile(path)
        }
        client = MQTTClient(
            Self.clientConfiguration(settings.broker, core: core, instance: identity.instance),
            loop: loop)
        healthThread = BlockingThread(
            loop: loop, name: "health",
            limits: .init(giveUpAfter: Self.gatherTimeout, abandonedThreads: 1))
        inventoryThread = BlockingThread(
            loop: loop, name: "inventory",
            limits: .init(giveUpAfter: Self.gatherTimeout, abandonedThreads: 1))
        storeThread = BlockingThread(loop: loop, name: "store")
        context.log.info(
            "agent",
            [
                "site": settings.site, "node": node, "instance": identity.instance,
                "broker": settings.broker.url, "sensors": sensors.count,
            ])
        for message in messages { publish(message) }
        start()
    }

    private static func nodeName(
        _ settings: AgentSettings, _ machine: MachineIdentity
    ) throws(DaemonError) -> NodeName {
        guard let node = settings.node ?? machine.defaultNodeName else {
            throw DaemonError(
                .configuration, "this machine has no name of its own",
                hint: "write node = \"barn-1\" into agent.toml, or set its host name")
        }
        return node
    }

    /// How long the broker keeps what was sent to an agent that is away: commands carry their own end.
    private static let sessionExpirySeconds: UInt32 = 86_400

    private static func clientConfiguration(
        _ broker: BrokerSettings, core: AgentCore, instance: Instance
    ) -> MQTTClientConfiguration {
        // At most 23 bytes, which every server takes.
        var session = ClientSessionConfiguration(clientID: "agent-\(instance)")
        let will = core.will
        session.will = ClientWill(
            OutgoingMessage(
                topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain))
        session.cleanStart = false
        session.sessionExpirySeconds = sessionExpirySeconds
        session.maximumQueuedMessages = broker.maximumQueuedMessages
        session.maximumQueuedBytes = broker.maximumQueuedBytes
        return broker.client.configuration(broker.url, session)
    }

    private func start() {
        reader.onEdge = { [weak self] edge in
            guard let self, let input = self.inputOfSensor[edge.sensor] else { return }
            self.act {
                $0.edge(
                    input: input, edge.edge, kernelNanoseconds: edge.kernelNanoseconds,
                    sequence: edge.sequence, taken: edge.taken)
            }
        }
        reader.start()
        client.delegate = self
        client.subscribe(
            core.subscriptions.map {
                SubscriptionRequestItem($0, qos: .atLeastOnce, retainAsPublished: true)
            })
        client.start()
        checkClock()
        act { $0.advance(to: .now()) }
    }

    private func checkClock() {
        guard !core.clockIsTrusted else { return }
        if facts.isClockTrustworthy {
            context.log.notice("the clock is synchronised now")
            act { $0.clockSynchronised(at: .now()) }
        } else {
            context.loop.schedule(after: Self.clockCheckInterval) { [weak self] in
                self?.checkClock()
            }
        }
    }

    /// Calls the core, does what it asks for, and sets the timer for its next deadline.
    ///
    /// What it asks for may answer at once: that is done in the same pass, after what came before.
    func act(_ body: (inout AgentCore) -> Void) {
        body(&core)
        guard !isPerforming else { return }
        isPerforming = true
        while true {
            let actions = core.takeActions()
            if actions.isEmpty { break }
            for action in actions { perform(action) }
        }
        isPerforming = false
        if let timer { context.loop.cancel(timer) }
        timer = context.loop.schedule(at: core.nextDeadline) { [weak self] in
            self?.act { $0.advance(to: .now()) }
        }
    }

    /// Within the time that a daemon has to end: what waits for an answer of the broker gets this long.
    private static let farewell = Duration.milliseconds(500)

    /// Ends in order; hands over what the broker did not take.
    func stop(_ done: @escaping ([OutgoingMessage]) -> Void) {
        isStopping = true
        act { $0.stop(at: .now()) }
        client.stop(within: Self.farewell) { [self] in
            let messages = client.takeMessages()
            // What was to be remembered is on disk before the next agent looks.
            // Whoever is told may let go of this object before, and its threads with it.
            let settled = { withExtendedLifetime(self) { done(messages) } }
            do throws(BlockingThread.Failure) {
                try storeThread.submit({}) { _ in settled() }
            } catch {
                context.loop.schedule(after: .zero, settled)
            }
        }
    }
}
