"""Clients that don't keep up, or won't let go; named after the lines of the threat list."""

import selectors
import socket
import time

import mqtt_wire as mqtt
from mqtt_wire import Wire
from support import Client, resident_kilobytes, round_trip

GIGABYTE = 1 << 30


def flood(port, topic, qos, total, payload_bytes=65_536):
    """Publish `total` bytes as fast as the broker takes them; returns how many messages."""
    wire = Wire(port)
    wire.connect("flood")
    count = total // payload_bytes
    body = b"x" * payload_bytes
    for number in range(count):
        wire.send(mqtt.publish(topic, body, qos, number % 60_000 + 1 if qos else None))
        if qos and number % 100 == 99:
            acknowledged = 0
            while acknowledged < 100:
                assert wire.receive().kind == mqtt.PUBACK
                acknowledged += 1
    wire.sync()
    wire.close()
    return count


def test_a_subscriber_that_never_reads_with_1_gb_published_at_it(fleet_broker):
    broker = fleet_broker()
    sleeper = Wire(broker.port)
    sleeper.connect("sleeper")
    sleeper.subscribe("a")
    count = flood(broker.port, "a", 0, GIGABYTE)
    round_trip(broker.port)
    # Its output of 4 MiB, and what the allocator keeps of the way there.
    assert resident_kilobytes(broker.process) < 64 * 1024
    # What it slept through is gone and counted; it gets the rest, and what comes now.
    got = sum(p.kind == mqtt.PUBLISH for p in sleeper.sync())
    assert 0 < got < count
    sleeper.send(mqtt.disconnect())
    found = broker.process.wait_for("client disconnected.*client=sleeper.*dropped=(\\d+)")
    assert int(found[1]) == count - got


def test_a_subscriber_that_never_acknowledges_has_a_queue_that_is_full(fleet_broker):
    broker = fleet_broker('[limits]\nqueue_size = "8MiB"\nin_flight = 10\n')
    sleeper = Wire(broker.port)
    sleeper.connect("sleeper")
    sleeper.subscribe("a", options=1)
    before = resident_kilobytes(broker.process)
    count = flood(broker.port, "a", 1, 64 << 20)
    round_trip(broker.port)
    assert resident_kilobytes(broker.process) - before < 32 * 1024
    broker.process.wait_for("queue.*full.*client=sleeper|client=sleeper.*queue.*full")
    sleeper.send(mqtt.disconnect())
    found = broker.process.wait_for("client disconnected.*client=sleeper.*dropped=(\\d+)")
    assert 0 < int(found[1]) < count


def test_a_queue_that_is_full_keeps_what_it_has_and_counts_the_rest(fleet_broker):
    broker = fleet_broker("[limits]\nqueue_messages = 10\n")
    away = Wire(broker.port, "5")
    away.connect("away", clean=False, properties=mqtt.session_expiry(600))
    away.subscribe("a", options=1)
    away.send(mqtt.disconnect())
    assert away.rest() == []
    publisher = Wire(broker.port)
    publisher.connect("publisher")
    for number in range(15):
        publisher.publish("a", str(number), 1)
    assert [p.kind for p in publisher.sync()] == [mqtt.PUBACK] * 15
    back = Wire(broker.port, "5")
    connack = back.connect("away", clean=False, properties=mqtt.session_expiry(600))
    assert connack.session_present
    assert [p.payload for p in back.sync()] == [str(n).encode() for n in range(10)]


def test_what_all_clients_together_make_the_broker_hold_has_a_limit(fleet_broker):
    broker = fleet_broker('durability = "memory"\n[limits]\nmemory = "16MiB"\n')
    watcher = Client(broker.port, "watcher").connected()
    watcher.subscribe("$SYS/broker/memory/limit", "$SYS/broker/dropped/memory")
    before = resident_kilobytes(broker.process)
    sleepers = []
    for number in range(10):
        sleepers.append(Wire(broker.port))
        sleepers[-1].connect(f"sleeper-{number}")
        sleepers[-1].subscribe("none")
        away = Wire(broker.port, "5")
        away.connect(f"away-{number}", clean=False, properties=mqtt.session_expiry(600))
        away.subscribe(str(number), options=1)
        away.send(mqtt.disconnect())
        assert away.rest() == []
    # Each of them alone is within its limits.
    for number in range(10):
        flood(broker.port, str(number), 1, 8 << 20)
    flood(broker.port, "none", 0, 8 << 20)
    round_trip(broker.port)
    assert resident_kilobytes(broker.process) - before < 32 * 1024
    broker.process.wait_for("memory is used up.*limit=16777216")
    watcher.wait(lambda: any(m.topic.endswith("dropped/memory") and int(m.payload) > 0
                             for m in watcher.messages), "what was dropped")
    assert b"16777216" in watcher.received(1)
    watcher.disconnect()


def test_a_reconnect_storm_with_clean_start_false(fleet_broker):
    broker = fleet_broker()
    count, messages = 300, 20
    kept = mqtt.session_expiry(600)
    for number in range(count):
        with socket.create_connection(("127.0.0.1", broker.port)) as client:
            client.sendall(mqtt.connect(f"c{number}", "5", False, properties=kept)
                           + mqtt.subscribe(1, [("storm", 1)], "5"))
            parser, packets = mqtt.Parser("5"), []
            while len(packets) < 2:
                packets += parser.feed(client.recv(4096))
    publisher = Wire(broker.port)
    publisher.connect("publisher")
    for number in range(messages):
        publisher.publish("storm", str(number), 1)
    assert len(publisher.sync()) == messages
    # All at once, three times over: each but the last breaks off while its queue is coming.
    for turn in range(3):
        storm = [Wire(broker.port, "5") for _ in range(count)]
        for number, wire in enumerate(storm):
            wire.send(mqtt.connect(f"c{number}", "5", False, properties=kept))
        round_trip(broker.port)
        if turn < 2:
            for wire in storm:
                wire.close()
    expected = [str(number).encode() for number in range(messages)]
    for wire in storm:
        connack, *got = wire.sync()
        assert connack.session_present
        assert [p.payload for p in got] == expected
        wire.close()


def test_a_session_taken_over_10_000_times(fleet_broker):
    # With a store each waits for its commit: that is another test's.
    broker = fleet_broker('durability = "memory"\n')
    kept = mqtt.session_expiry(600)
    first = Wire(broker.port, "5")
    first.connect("same", clean=False, properties=kept)
    first.subscribe("a", options=1)
    packet = mqtt.connect("same", "5", False, properties=kept)

    def take_over(times):
        last = first
        for _ in range(times):
            following = Wire(broker.port, "5")
            assert following.send(packet).receive().session_present
            last.close()
            last = following
        return last
    take_over(500).close()
    before = resident_kilobytes(broker.process)
    last = take_over(10_000)
    assert resident_kilobytes(broker.process) - before < 4 * 1024
    publisher = Wire(broker.port)
    publisher.connect("publisher")
    publisher.publish("a", "once", 1)
    publisher.sync()
    assert [p.payload for p in last.sync()] == [b"once"]
    last.close()


def test_two_clients_that_take_one_session_over_in_turn(fleet_broker):
    """Neither lets go, as two machines with one client identifier do; others notice nothing."""
    broker = fleet_broker()
    selector = selectors.DefaultSelector()
    packet = mqtt.connect("twin", keep_alive=60)
    takeovers, end = 0, time.monotonic() + 2

    def come():
        client = socket.create_connection(("127.0.0.1", broker.port))
        client.sendall(packet)
        selector.register(client, selectors.EVENT_READ)
    come()
    come()
    while time.monotonic() < end or takeovers < 20:
        for key, _ in selector.select(1):
            try:
                data = key.fileobj.recv(4096)
            except ConnectionResetError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                takeovers += 1
                come()
    round_trip(broker.port)
    for key in list(selector.get_map().values()):
        key.fileobj.close()


def test_a_will_delay_longer_than_the_session_expiry(fleet_broker):
    broker = fleet_broker()
    watcher = Client(broker.port, "watcher", version="5").connected()
    watcher.subscribe("will", qos=1)
    begin = time.monotonic()
    wire = Wire(broker.port, "5")
    delay = b"\x18\x00\x00\x0e\x10"
    wire.connect("gone", properties=mqtt.session_expiry(1),
                 will={"topic": "will", "payload": b"last words", "qos": 1, "properties": delay})
    wire.close()
    # [MQTT-3.1.3-9]: the session's end does not wait for the will's hour.
    assert watcher.received(1) == [b"last words"]
    assert time.monotonic() - begin >= 1
    watcher.disconnect()


def test_qos_2_packet_ids_that_are_never_completed(fleet_broker):
    broker = fleet_broker()
    watcher = Wire(broker.port)
    watcher.connect("watcher")
    watcher.subscribe("a")
    wire = Wire(broker.port)
    wire.connect("hoarder")
    before = resident_kilobytes(broker.process)
    for first in range(1, 65_536, 1_000):
        wire.send(*(mqtt.publish("a", b"x", 2, packet_id)
                    for packet_id in range(first, min(first + 1_000, 65_536))))
    assert sum(p.kind == mqtt.PUBREC for p in wire.sync()) == 65_535
    assert resident_kilobytes(broker.process) - before < 16 * 1024
    assert len(watcher.sync()) == 65_535
    # Packet id reuse: each is in use, and what comes under it is the message that came before.
    wire.publish("a", b"again", 2, packet_id=77, dup=True)
    wire.publish("a", b"other", 2, packet_id=78)
    assert [p.kind for p in wire.sync()] == [mqtt.PUBREC] * 2
    assert watcher.sync() == []
    # Released, it may be used again.
    wire.send(mqtt.acknowledgement(mqtt.PUBREL, 77))
    wire.publish("a", b"new", 2, packet_id=77)
    assert [p.kind for p in wire.sync()] == [mqtt.PUBCOMP, mqtt.PUBREC]
    assert [p.payload for p in watcher.sync()] == [b"new"]


def test_a_5_0_client_with_more_in_flight_than_receive_maximum(fleet_broker):
    broker = fleet_broker("[limits]\nreceive_maximum = 10\n")
    wire = Wire(broker.port, "5")
    wire.connect("hoarder")
    for _ in range(11):
        wire.publish("a", b"x", 2)
    *answers, end = wire.rest()
    assert [p.kind for p in answers] == [mqtt.PUBREC] * 10
    assert (end.kind, end.code) == (mqtt.DISCONNECT, 0x93)


def test_pubrel_for_an_unknown_id(fleet_broker):
    broker = fleet_broker()
    for version, code in (("3.1", 0), ("3.1.1", 0), ("5", 0x92)):
        wire = Wire(broker.port, version)
        wire.connect("c")
        wire.send(mqtt.acknowledgement(mqtt.PUBREL, 4711))
        answer = wire.receive()
        assert (answer.kind, answer.packet_id, answer.code) == (mqtt.PUBCOMP, 4711, code)
        # Acknowledgements that nobody waits for do no harm either.
        wire.send(mqtt.acknowledgement(mqtt.PUBACK, 1), mqtt.acknowledgement(mqtt.PUBCOMP, 2))
        assert wire.sync() == []
        wire.close()


def test_who_stops_reading_does_not_slow_down_who_reads(fleet_broker):
    broker = fleet_broker()
    sleeper, reader = Wire(broker.port), Wire(broker.port)
    for wire, name in ((sleeper, "sleeper"), (reader, "reader")):
        wire.connect(name)
        wire.subscribe("a", options=1)
    publisher = Wire(broker.port)
    publisher.connect("publisher")
    for number in range(2_000):
        publisher.publish("a", b"%d " % number + b"x" * 4_000, 1)
        packet = reader.receive()
        assert int(packet.payload.split()[0]) == number
        reader.send(mqtt.acknowledgement(mqtt.PUBACK, packet.packet_id))
