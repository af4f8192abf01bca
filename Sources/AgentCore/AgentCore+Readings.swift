public import FleetModel
import MQTT

extension AgentCore {
    /// What came of `read(sensor:)`; `taken` is when the value was taken, `now` when it came here.
    public mutating func reading(
        sensor index: Int, _ reading: Reading, taken moment: Moment, at now: Moment
    ) {
        let time = taken(at: moment)
        let isNews = sensors[index].take(reading, taken: time, now: now.monotonic)
        guard isNews else { return }
        stateGroups.changed(sensor: index)
        guard takesReadings else {
            sensors[index].forgetPublication()
            return
        }
        publishMeasurement(sensor: index)
        if phase == .online { publishState(at: now) }
    }

    private mutating func publishMeasurement(sensor index: Int) {
        guard let entry = sensors[index].last else { return }
        let sensor = sensors[index].configuration
        let number = sensors[index].takeNumber()
        let measurement = Measurement(
            taken: entry.taken, value: entry.value, unit: sensor.unit?.symbol,
            quality: entry.quality, why: entry.why, number: number, boot: configuration.boot)
        let topic = configuration.topic(.measurement(sensor.name))
        var publication = Publication(topic: topic, payload: measurement.encode())
        if sensor.isUnreliable {
            publication.qos = .atMostOnce
        } else {
            publication.record = MeasurementRecord(
                topic: topic.text, number: number, taken: entry.taken, value: entry.value)
        }
        actions.append(.publish(publication))
    }

    mutating func publishState(at now: Moment) {
        for group in stateGroups.due(now: now.monotonic) {
            let state = State(
                sensors: stateGroups.sensors(of: group).compactMap { index in
                    sensors[index].last.map { (sensors[index].configuration.name, $0) }
                })
            guard !state.sensors.isEmpty else {
                stateGroups.skipped(group: group)
                continue
            }
            stateGroups.published(group: group, now: now.monotonic)
            publish(stateGroups.channel(of: group), state.encode(), retain: true)
        }
    }

    /// An edge of the input `index`, with the kernel's time stamp.
    public mutating func edge(
        input index: Int, _ edge: Event.Edge, kernelNanoseconds: Int?, sequence: Int?,
        taken moment: Moment
    ) {
        guard takesReadings else { return }
        guard let number = inputs[index].takeNumber(now: moment.monotonic) else {
            if inputs[index].isFirstDropped {
                log(
                    .warning,
                    "input \(inputs[index].name) has more than \(InputState.edgesPerSecond) edges "
                        + "a second; the rest of them is dropped (does the contact bounce?)")
            }
            return
        }
        let event = Event(
            taken: taken(at: moment), edge: edge, kernelNanoseconds: kernelNanoseconds,
            sequence: sequence, number: number, boot: configuration.boot)
        publish(.event(inputs[index].name), event.encode())
    }

    /// The clock was synchronised for the first time since boot.
    public mutating func clockSynchronised(at now: Moment) {
        guard !clockIsSynchronised else { return }
        clockIsSynchronised = true
        memory.prune(unixMilliseconds: now.unixMilliseconds)
        let offset = now.unixMilliseconds - now.uptimeMilliseconds
        // `since` was noted with the wrong clock.
        since.unixMilliseconds = offset + since.uptimeMilliseconds
        if publishedWithoutClock {
            clockOffsets.add(
                .init(boot: configuration.boot, offsetMilliseconds: Int(offset)))
            actions.append(.storeClock(clockOffsets))
        }
        guard phase == .online else { return }
        publishStatus()
        if publishedWithoutClock { publish(.clock, clockOffsets.encode(), retain: true) }
    }

    /// What came of `sampleHealth`; time and clock state are the core's to fill in.
    public mutating func healthSampled(_ sample: Health, at now: Moment) {
        let isDue = health.take(sample, now: now.monotonic)
        if isDue, phase == .online { publishHealth(at: now) }
    }

    mutating func publishHealth(at now: Moment) {
        guard var sample = health.latest else { return }
        sample.taken = taken(at: now)
        sample.clockSynchronised = clockIsSynchronised
        health.published(now: now.monotonic)
        publish(.health, sample.encode(), retain: true)
    }
}
