import AgentCore
import Client
import Daemon
import FleetModel
import IO
import MQTT
import Sensors

extension AgentRunner {
    func perform(_ action: AgentAction) {
        switch action {
        case .publish(let publication): publish(publication)
        case .read(let sensor):
            reader.read(sensor) { [weak self] reading, taken in
                self?.act { $0.reading(sensor: sensor, reading, taken: taken, at: .now()) }
            }
        case .sampleHealth: sampleHealth()
        case .remember(let record): remember(record)
        case .acknowledge(let delivery):
            client.acknowledge(deliveries.removeValue(forKey: delivery))
        case .gatherInventory(let id): gatherInventory(id)
        case .storeClock(let offsets): storeClock(offsets)
        case .disconnect(let wait): beQuiet(for: wait)
        case .log(let severity, let text):
            switch severity {
            case .info: context.log.info(text)
            case .warning: context.log.warning(text)
            case .error: context.log.error(text)
            }
        }
    }

    /// A measurement is first written to the agent's own list, so that whatever was published is in it.
    private func publish(_ publication: Publication) {
        if let line = publication.record?.line, let measurementLog {
            do throws(IOError) {
                try measurementLog.append(Array((line + "\n").utf8).span)
            } catch {
                context.log.error("the measurement log cannot be written: \(error)")
            }
        }
        var message = OutgoingMessage(
            topic: publication.topic, payload: publication.payload, qos: publication.qos,
            retain: publication.retain)
        message.properties.correlationData = publication.correlationData
        publish(message)
    }

    func publish(_ message: OutgoingMessage) {
        if let refusal = client.publish(message) {
            context.log.error(
                "a message is lost: the queue does not take it",
                [
                    "reason": "\(refusal)", "topic": String(decoding: message.topic, as: UTF8.self),
                    "queued": client.queuedMessages,
                ])
        }
    }

    private func sampleHealth() {
        let facts = facts
        let path = context.state.path
        // Nothing known is also a sample: the time, and whether the clock is right.
        let nothing = Health(taken: .uptime(milliseconds: 0), clockSynchronised: false)
        submit(on: healthThread, { facts.health(diskPath: path) }) { runner, result in
            let sample = (try? result.get()) ?? nothing
            runner.act { $0.healthSampled(sample, at: .now()) }
        }
    }

    private func remember(_ record: CommandRecord) {
        let store = store
        submit(
            on: storeThread, { Self.failure { () throws(IOError) in try store.remember(record) } }
        ) { runner, result in
            let failure: String? =
                switch result {
                case .success(let failure): failure
                case .failure(let failure): "\(failure)"
                }
            runner.act { $0.remembered(record.id, failure: failure, at: .now()) }
        }
    }

    private func storeClock(_ offsets: ClockOffsets) {
        let store = store
        submit(on: storeThread, { Self.failure { () throws(IOError) in try store.store(offsets) } })
        { runner, result in
            if case .success(nil) = result { return }
            runner.context.log.error("the clock's offsets cannot be stored")
        }
    }

    private func gatherInventory(_ id: RequestID) {
        let facts = facts
        let info = core.configuration.info
        submit(on: inventoryThread, { Inventory.gather(facts, info) }) { runner, result in
            let inventory = result.mapError { InventoryFailure(why: "\($0)") }
            runner.act { $0.inventoryGathered(id, inventory, at: .now()) }
        }
    }

    private func beQuiet(for wait: Duration) {
        client.stop(within: .seconds(1)) { [weak self] in
            self?.context.loop.schedule(after: wait) {
                guard let self, !self.isStopping else { return }
                self.client.start()
            }
        }
    }

    /// `nil`, or why it failed.
    private static func failure(_ body: () throws(IOError) -> Void) -> String? {
        do throws(IOError) {
            try body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func submit<Value: Sendable>(
        on thread: BlockingThread, _ work: @escaping @Sendable () -> Value,
        completion: @escaping (AgentRunner, Result<Value, BlockingThread.Failure>) -> Void
    ) {
        do throws(BlockingThread.Failure) {
            try thread.submit(work) { [weak self] result in
                if let self { completion(self, result) }
            }
        } catch {
            completion(self, .failure(error))
        }
    }
}

/// The answer to `cmd/inventory`: `info` with the full list of packages.
enum Inventory {
    /// Most brokers of the cloud take no more in one message.
    static let maximumBytes = 128 << 10

    static func gather(_ facts: MachineFacts, _ info: Info) -> JSONValue {
        var inventory = info
        inventory.packages = facts.installedPackages()
        var leftOut = 0
        while inventory.json.encoded().count > maximumBytes, !inventory.packages.isEmpty {
            let cut = max(1, inventory.packages.count / 10)
            inventory.packages.removeLast(cut)
            leftOut += cut
        }
        guard leftOut > 0, var object = inventory.json.object else { return inventory.json }
        object["packages_left_out"] = .integer(Int64(leftOut))
        return .object(object)
    }
}
