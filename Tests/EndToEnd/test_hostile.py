"""Bytes from a stranger: what broke other brokers; named after the lines of the threat list."""

import resource
import socket
import time

import pytest

import mqtt_wire as mqtt
from support import Client, resident_kilobytes, round_trip

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"


def answer(port, data, seconds=10):
    """What the broker answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(data)
        stranger.settimeout(seconds)
        got = b""
        try:
            while chunk := stranger.recv(4096):
                got += chunk
        except ConnectionResetError:
            pass
        return got


FIRST_BYTES = {
    "a first packet that is not CONNECT": b"\x30\x03\x00\x01a",
    "a remaining length of 256 MiB before CONNECT": b"\x10\xff\xff\xff\x7f",
    "a five-byte variable byte integer": b"\x10\x80\x80\x80\x80\x01",
    "a reserved packet type": b"\x00\x00",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS ClientHello on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a protocol name of another kind": b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x3c\x00\x01x",
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_first_bytes(fleet_broker, name):
    broker = fleet_broker()
    assert len(answer(broker.port, FIRST_BYTES[name])) < 16
    round_trip(broker.port)


AFTER_CONNECT = {
    "a second CONNECT": CONNECT,
    "a zero-length topic": b"\x30\x02\x00\x00",
    "U+0000 in a topic": b"\x30\x04\x00\x02a\x00",
    "ill-formed UTF-8": b"\x30\x04\x00\x02\xc3\x28",
    "wildcards in a topic name": b"\x30\x05\x00\x03a/#",
    "a server-only packet from a client": b"\x20\x02\x00\x00",
    "QoS 3": b"\x36\x05\x00\x01a\x00\x01",
    "SUBSCRIBE without a filter": b"\x82\x02\x00\x01",
    "SUBSCRIBE with reserved flags": b"\x80\x06\x00\x01\x00\x01a\x00",
    "a packet id of zero": b"\x32\x05\x00\x01a\x00\x00",
}


@pytest.mark.parametrize("name", AFTER_CONNECT)
def test_after_connect(fleet_broker, name):
    broker = fleet_broker()
    got = answer(broker.port, CONNECT + AFTER_CONNECT[name])
    assert got.startswith(b"\x20\x02\x00\x00")
    round_trip(broker.port)


def connect5(properties=b"", will_properties=None):
    """CONNECT of 5.0 with raw properties, and a will where it is given some."""
    will = {"topic": "w", "payload": b"p", "properties": will_properties}
    return mqtt.connect("x", "5", properties=properties,
                        will=will if will_properties is not None else None)


def publish5(properties):
    return mqtt.publish("t", version="5", properties=properties)


USER_PROPERTY = b"\x26\x00\x01k\x00\x01v"

BAD_PROPERTIES = {
    "duplicate in CONNECT": (connect5(b"\x11\0\0\0\1" * 2), 0x82),
    "wrong value in CONNECT": (connect5(b"\x21\0\0"), 0x82),
    "undefined in CONNECT": (connect5(b"\x7f\1"), 0x81),
    "of another packet in CONNECT": (connect5(b"\x23\0\1"), 0x81),
    "thousands in CONNECT": (connect5(USER_PROPERTY * 5_000), 0x97),
    "duplicate in the will": (connect5(b"", b"\x18\0\0\0\1" * 2), 0x82),
    "wrong value in the will": (connect5(b"", b"\x01\2"), 0x82),
    "thousands in the will": (connect5(b"", USER_PROPERTY * 5_000), 0x97),
    "duplicate in PUBLISH": (connect5() + publish5(b"\x02\0\0\0\1" * 2), 0x82),
    "cut short in PUBLISH": (connect5() + publish5(b"\x02\0\0"), 0x81),
    "a topic alias of 0": (connect5() + publish5(b"\x23\0\0"), 0x94),
    "a topic alias above the maximum of 32": (connect5() + publish5(b"\x23\0\x21"), 0x94),
    "a topic alias that names nothing": (
        connect5() + mqtt.publish("", version="5", properties=b"\x23\0\x20"), 0x82),
    "thousands in PUBLISH": (connect5() + publish5(USER_PROPERTY * 5_000), 0x97),
}


@pytest.mark.parametrize("name", BAD_PROPERTIES)
def test_invalid_properties(fleet_broker, name):
    broker = fleet_broker()
    packet, code = BAD_PROPERTIES[name]
    got = answer(broker.port, packet)
    if "PUBLISH" in name or "alias" in name:
        end = got[2 + got[1]:]
        assert got[0] == 0x20 and got[3] == 0 and end[0] == 0xE0 and end[2] == code
    else:
        assert got[0] == 0x20 and got[3] == code
    round_trip(broker.port)


SHARED = {
    "without a filter": (b"$share/name", 0x8F), "with an empty one": (b"$share/name/", 0x8F),
    "without a name": (b"$share//a", 0x8F), "whole": (b"$share/name/a", 0x00),
}


@pytest.mark.parametrize("name", SHARED)
def test_shared_subscriptions(fleet_broker, name):
    broker = fleet_broker()
    topic, code = SHARED[name]
    body = b"\x00\x01\x00" + len(topic).to_bytes(2, "big") + topic + b"\x00"
    got = answer(broker.port, connect5() + b"\x82" + bytes([len(body)]) + body + b"\xe0\x00")
    answered = got[2 + got[1]:]
    assert answered[0] == 0x90 and answered[1 + answered[1]] == code


def test_65535_slashes(fleet_broker):
    broker = fleet_broker()
    topic = b"/" * 65_535
    answer(broker.port, CONNECT + mqtt.publish(topic, b"x"))
    round_trip(broker.port)


# Every packet that a client sends, and those that only a server sends.
WILL = {"topic": "w", "payload": b"p", "qos": 1, "properties": b"\x18\0\0\0\1"}
PACKETS = {version: {
    "CONNECT": mqtt.connect("x", version, user="u", password="p", will=WILL),
    "PUBLISH": mqtt.publish("a/b", b"xyz", 2, 7, version=version,
                            properties=b"\x01\1\x26\0\1k\0\1v"),
    "PUBACK": mqtt.acknowledgement(mqtt.PUBACK, 1), "PUBREC": mqtt.acknowledgement(mqtt.PUBREC, 1),
    "PUBREL": mqtt.acknowledgement(mqtt.PUBREL, 1), "PUBCOMP": mqtt.acknowledgement(mqtt.PUBCOMP, 1),
    "SUBSCRIBE": mqtt.subscribe(2, [("a/+", 1), ("b", 0)], version, b"\x26\0\1k\0\1v"),
    "UNSUBSCRIBE": mqtt.unsubscribe(3, ["a/+", "b"], version, b"\x26\0\1k\0\1v"),
    "PINGREQ": mqtt.PING, "DISCONNECT": mqtt.disconnect(version, 4, b"\x1f\0\1r"),
    "AUTH": mqtt.packet(mqtt.AUTH, 0, b"\x18\x03\x15\0\0"),
    "CONNACK": b"\x20\x02\0\0", "SUBACK": b"\x90\x03\0\1\0", "UNSUBACK": b"\xb0\x02\0\1",
    "PINGRESP": b"\xd0\0"} for version in ("3.1.1", "5")}


@pytest.mark.parametrize("version", PACKETS)
def test_a_truncated_packet_of_every_type_cut_at_every_byte(fleet_broker, version):
    broker = fleet_broker()
    connect = mqtt.connect("c", version)
    for name, packet in PACKETS[version].items():
        before = b"" if name == "CONNECT" else connect
        for length in range(1, len(packet)):
            with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
                stranger.sendall(before + packet[:length])
    round_trip(broker.port)


@pytest.mark.parametrize("version", PACKETS)
def test_a_packet_of_every_type_that_says_it_is_whole_and_is_cut(fleet_broker, version):
    """The remaining length fits what is there; what is there ends in the middle of a field."""
    broker = fleet_broker()
    connect = mqtt.connect("c", version)
    for name, packet in PACKETS[version].items():
        body = packet[2:]
        for length in range(len(body)):
            cut = mqtt.packet(packet[0] >> 4, packet[0] & 15, body[:length])
            wire = mqtt.Wire(broker.port, version)
            wire.send((b"" if name == "CONNECT" else connect) + cut, mqtt.disconnect(version))
            # Some are right by chance: a shorter payload, an acknowledgement without a code.
            codes = [p.code for p in wire.rest() if p.kind in (mqtt.DISCONNECT, mqtt.CONNACK)]
            assert set(codes) <= {0, 0x01, 0x81, 0x82, 0x84, 0x85, 0x8F, 0x90}, (name, length, codes)
            wire.close()
    round_trip(broker.port)


def test_slow_loris_before_connect_is_ended(fleet_broker):
    broker = fleet_broker('[limits]\ntime_to_connect = "1s"\n')
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
        stranger.sendall(CONNECT[:1])
        stranger.settimeout(10)
        assert stranger.recv(1) == b""
    assert time.monotonic() - begin < 5


def test_slow_loris_one_byte_at_a_time_before_connect(fleet_broker):
    broker = fleet_broker('[limits]\ntime_to_connect = "1s"\n')
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
        stranger.settimeout(0.1)
        packet = mqtt.connect("x" * 1_000)
        for index in range(len(packet)):
            try:
                stranger.sendall(packet[index:index + 1])
                assert stranger.recv(1) == b""
                break
            except TimeoutError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                break
    assert 0.9 < time.monotonic() - begin < 5


def test_slow_loris_one_byte_at_a_time_after_connect(fleet_broker):
    broker = fleet_broker()
    wire = mqtt.Wire(broker.port)
    wire.connect("loris", keep_alive=1)
    begin, packet = time.monotonic(), mqtt.publish("a", b"x" * 10_000)
    wire.socket.settimeout(0.1)
    for index in range(len(packet)):
        try:
            wire.socket.sendall(packet[index:index + 1])
            if wire.socket.recv(1) == b"":
                break
        except TimeoutError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            break
    # [MQTT-3.1.2-22]: bytes of half a packet are no packet.
    assert 1 < time.monotonic() - begin < 5
    round_trip(broker.port)


def test_1000_filters_of_twenty_levels_with_alternating_plus(fleet_broker):
    """And a publisher that knows them: it costs time, which others get as well."""
    broker = fleet_broker("[limits]\ntopic_levels = 20\n")
    hostile = mqtt.Wire(broker.port, "5")
    hostile.connect("hostile")
    for first in range(0, 1_000, 100):
        filters = ["/".join("+" if n >> level & 1 or level % 2 else "a" for level in range(20))
                   for n in range(first, first + 100)]
        assert set(hostile.subscribe(*filters)) == {0}
    publisher = mqtt.Wire(broker.port)
    publisher.connect("publisher")
    for _ in range(200):
        publisher.publish("/".join("a" * 20), b"x")
    round_trip(broker.port)
    publisher.sync()
    assert sum(p.kind == mqtt.PUBLISH for p in hostile.sync()) == 200, "one copy each"


def test_filters_of_twenty_levels_are_refused_by_default(fleet_broker):
    broker = fleet_broker()
    wire = mqtt.Wire(broker.port, "5")
    wire.connect("hostile")
    assert wire.subscribe("/".join("+a" * 10)) == [0x8F]


def test_10_000_connections_that_never_speak(fleet_broker):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = 10_000
    if hard < count + 200:
        pytest.skip(f"no {count} connections with {hard} descriptors; raise ulimit -Hn")
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    broker = fleet_broker(f"[limits]\nconnections = {count + 10}\n")
    before = resident_kilobytes(broker.process)
    silent = []
    try:
        silent += (socket.create_connection(("127.0.0.1", broker.port)) for _ in range(count))
        # paho-mqtt waits by select(2), which knows no descriptors of this size.
        client = mqtt.Wire(broker.port)
        client.connect("speaks")
        client.subscribe("a")
        client.publish("a", b"x")
        assert [p.payload for p in client.sync()] == [b"x"]
        each = (resident_kilobytes(broker.process) - before) * 1024 / count
        assert each < 1_024, f"{each:.0f} bytes for a connection that says nothing"
    finally:
        for connection in silent:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    round_trip(broker.port)


def test_a_reader_that_never_reads_costs_its_own_queue_only(fleet_broker):
    broker = fleet_broker()
    with socket.create_connection(("127.0.0.1", broker.port)) as reader:
        reader.sendall(CONNECT + b"\x82\x06\x00\x02\x00\x01a\x00")
        publisher = Client(broker.port, "publisher").connected()
        payload = b"x" * 65_536
        for _ in range(1000):
            publisher.client.publish("a", payload, 0)
        publisher.publish("b", b"", 1)
        round_trip(broker.port)
        resident = resident_kilobytes(broker.process)
        assert resident < 64 * 1024, f"{resident} kB resident after 64 MB at a reader that sleeps"
        publisher.disconnect()
