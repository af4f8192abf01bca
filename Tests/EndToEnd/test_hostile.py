"""Bytes from a stranger: what broke other brokers; named after the lines of the threat list."""

import socket
import time

import pytest

from support import Client

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"


def is_alive(port):
    client = Client(port, "alive").connected()
    client.subscribe("alive", qos=1)
    client.publish("alive", b"yes", 1)
    assert client.received(1) == [b"yes"]
    client.disconnect()


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
    is_alive(broker.port)


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
    is_alive(broker.port)


def variable_byte_integer(value):
    while True:
        value, digit = divmod(value, 128)
        yield digit | (0x80 if value else 0)
        if not value:
            return


def connect5(properties=b"", will_properties=None):
    """CONNECT of 5.0 with raw properties, and a will where it is given some."""
    flags = 2 if will_properties is None else 6
    body = b"\x00\x04MQTT\x05" + bytes([flags]) + b"\x00\x3c"
    body += bytes(variable_byte_integer(len(properties))) + properties + b"\x00\x01x"
    if will_properties is not None:
        body += bytes(variable_byte_integer(len(will_properties))) + will_properties
        body += b"\x00\x01w\x00\x01p"
    return b"\x10" + bytes(variable_byte_integer(len(body))) + body


def publish5(properties):
    body = b"\x00\x01t" + bytes(variable_byte_integer(len(properties))) + properties
    return b"\x30" + bytes(variable_byte_integer(len(body))) + body


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
    "a topic alias above the maximum": (connect5() + publish5(b"\x23\0\1"), 0x94),
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
    is_alive(broker.port)


SHARED = {
    "without a filter": (b"$share/name", 0x8F), "with an empty one": (b"$share/name/", 0x8F),
    "without a name": (b"$share//a", 0x8F), "whole": (b"$share/name/a", 0x9E),
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
    body = len(topic).to_bytes(2, "big") + topic + b"x"
    header = b"\x30" + bytes([body_byte for body_byte in variable_byte_integer(len(body))])
    answer(broker.port, CONNECT + header + body)
    is_alive(broker.port)


def test_every_packet_cut_at_every_byte(fleet_broker):
    broker = fleet_broker()
    publish = b"\x32\x08\x00\x01a\x00\x01xyz"
    subscribe = b"\x82\x06\x00\x02\x00\x01a\x01"
    for packet in (CONNECT, CONNECT + publish, CONNECT + subscribe, CONNECT + b"\xe0\x00"):
        for length in range(1, len(packet)):
            with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
                stranger.sendall(packet[:length])
    is_alive(broker.port)


def test_slow_loris_before_connect_is_ended(fleet_broker):
    broker = fleet_broker('[limits]\ntime_to_connect = "1s"\n')
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
        stranger.sendall(CONNECT[:1])
        stranger.settimeout(10)
        assert stranger.recv(1) == b""
    assert time.monotonic() - begin < 5


def test_connections_that_never_speak_cost_little_and_block_nobody(fleet_broker):
    broker = fleet_broker()
    silent = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(500)]
    is_alive(broker.port)
    for connection in silent:
        connection.close()


def test_a_reader_that_never_reads_costs_its_own_queue_only(fleet_broker):
    broker = fleet_broker()
    with socket.create_connection(("127.0.0.1", broker.port)) as reader:
        reader.sendall(CONNECT + b"\x82\x06\x00\x02\x00\x01a\x00")
        publisher = Client(broker.port, "publisher").connected()
        payload = b"x" * 65_536
        for _ in range(1000):
            publisher.client.publish("a", payload, 0)
        publisher.publish("b", b"", 1)
        is_alive(broker.port)
        resident = int(next(line.split()[1] for line in open(
            f"/proc/{broker.process.pid}/status") if line.startswith("VmRSS")))
        assert resident < 64 * 1024, f"{resident} kB resident after 64 MB at a reader that sleeps"
        publisher.disconnect()
