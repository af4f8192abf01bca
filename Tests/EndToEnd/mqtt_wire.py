"""MQTT 3.1, 3.1.1 and 5.0 packet by packet, for tests that decide what goes over the wire and when.

Functions make the bytes of one packet each; `Parser` reads those of a server; `Wire` is a connection
that sends and answers nothing by itself. paho-mqtt (support.py) is for tests that want a client.
"""

import socket
import struct
import time

from fleetlab.processes import WAIT_SECONDS

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = range(1, 9)
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(9, 16)
NAMES = ("", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
         "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH")
PROTOCOLS = {"3.1": (b"MQIsdp", 3), "3.1.1": (b"MQTT", 4), "5": (b"MQTT", 5)}
PING = b"\xc0\x00"


# --- bytes of packets -----------------------------------------------------------------------------

def variable_byte_integer(value):
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def field(data):
    """Text or bytes behind their length in two bytes."""
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + variable_byte_integer(len(body)) + body


def _properties(version, raw):
    return variable_byte_integer(len(raw)) + raw if version == "5" else b""


def session_expiry(seconds):
    """The property that keeps a session, for CONNECT and DISCONNECT of 5.0."""
    return b"\x11" + struct.pack(">I", seconds)


def connect(client_id, version="3.1.1", clean=True, keep_alive=0, user=None, password=None,
            will=None, properties=b""):
    """CONNECT; `will` is a dictionary of topic, payload, qos, retain and properties (bytes)."""
    name, level = PROTOCOLS[version]
    flags = (2 if clean else 0) | (0x80 if user is not None else 0)
    flags |= 0x40 if password is not None else 0
    tail = field(client_id)
    if will is not None:
        flags |= 4 | will.get("qos", 0) << 3 | (0x20 if will.get("retain") else 0)
        tail += _properties(version, will.get("properties", b""))
        tail += field(will["topic"]) + field(will.get("payload", b""))
    tail += b"".join(field(part) for part in (user, password) if part is not None)
    body = field(name) + bytes([level, flags]) + struct.pack(">H", keep_alive)
    return packet(CONNECT, 0, body + _properties(version, properties) + tail)


def publish(topic, payload=b"", qos=0, packet_id=None, dup=False, retain=False, version="3.1.1",
            properties=b""):
    payload = payload.encode() if isinstance(payload, str) else payload
    body = field(topic) + (struct.pack(">H", packet_id) if packet_id is not None else b"")
    flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return packet(PUBLISH, flags, body + _properties(version, properties) + payload)


def acknowledgement(kind, packet_id, code=0):
    """PUBACK, PUBREC, PUBREL or PUBCOMP; a code other than 0 is for 5.0 alone."""
    body = struct.pack(">H", packet_id) + (bytes([code]) if code else b"")
    return packet(kind, 2 if kind == PUBREL else 0, body)


def subscribe(packet_id, filters, version="3.1.1", properties=b""):
    """SUBSCRIBE with pairs of a filter and its options byte."""
    body = struct.pack(">H", packet_id) + _properties(version, properties)
    return packet(SUBSCRIBE, 2, body + b"".join(field(f) + bytes([o]) for f, o in filters))


def unsubscribe(packet_id, filters, version="3.1.1", properties=b""):
    body = struct.pack(">H", packet_id) + _properties(version, properties)
    return packet(UNSUBSCRIBE, 2, body + b"".join(map(field, filters)))


def disconnect(version="3.1.1", code=0, properties=b""):
    if version != "5" or not (code or properties):
        return packet(DISCONNECT, 0, b"")
    return packet(DISCONNECT, 0, bytes([code]) + _properties(version, properties))


# --- packets of a server --------------------------------------------------------------------------

class Packet:
    """What a server sent. Which attributes mean something depends on the kind."""

    __slots__ = ("kind", "flags", "body", "packet_id", "topic", "payload", "qos", "code",
                 "properties")

    def __init__(self, kind, flags, body, version):
        self.kind, self.flags, self.body = kind, flags, body
        self.packet_id, self.code, self.properties = None, 0, b""
        if kind == PUBLISH:
            self.qos = flags >> 1 & 3
            at = 2 + (body[0] << 8 | body[1])
            self.topic = body[2:at]
            if self.qos:
                self.packet_id = body[at] << 8 | body[at + 1]
                at += 2
            if version == "5":
                at = self._take_properties(at)
            self.payload = body[at:]
        elif PUBACK <= kind <= PUBCOMP:
            self.packet_id = body[0] << 8 | body[1]
            self.code = body[2] if len(body) > 2 else 0
            if len(body) > 3:
                self._take_properties(3)
        elif kind in (SUBACK, UNSUBACK):
            self.packet_id = body[0] << 8 | body[1]
            self.payload = body[self._take_properties(2) if version == "5" else 2:]
        elif kind == CONNACK:
            self.code = body[1]
            if version == "5" and len(body) > 2:
                self._take_properties(2)
        elif kind == DISCONNECT:
            self.code = body[0] if body else 0
            if len(body) > 1:
                self._take_properties(1)

    def _take_properties(self, at):
        length, shift = 0, 0
        while True:
            byte = self.body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        self.properties = self.body[at:at + length]
        return at + length

    @property
    def dup(self):
        return bool(self.flags & 8)

    @property
    def retain(self):
        return bool(self.flags & 1)

    @property
    def session_present(self):
        return bool(self.body[0] & 1)

    def __repr__(self):
        if self.kind == PUBLISH:
            marks = f"q{self.qos}{' dup' if self.dup else ''}{' retain' if self.retain else ''}"
            return f"PUBLISH {self.packet_id} {self.topic!r}={self.payload[:40]!r} {marks}"
        return f"{NAMES[self.kind]} {self.packet_id or ''} code={self.code:#04x}"


class Parser:
    """Takes bytes as they come and gives packets."""

    def __init__(self, version):
        self.version = version
        self._buffer = b""

    def feed(self, data):
        buffer = self._buffer + data if self._buffer else data
        packets, at, end = [], 0, len(buffer)
        while end - at >= 2:
            length, index, shift = buffer[at + 1], at + 2, 7
            if length >= 0x80:
                length &= 0x7F
                while index < end:
                    byte = buffer[index]
                    index += 1
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                else:
                    break
            if index + length > end:
                break
            packets.append(Packet(buffer[at] >> 4, buffer[at] & 15,
                                  buffer[index:index + length], self.version))
            at = index + length
        self._buffer = buffer[at:]
        return packets


# --- a connection ---------------------------------------------------------------------------------

class Wire:
    """A connection of which the test decides every byte."""

    def __init__(self, port, version="3.1.1", source=None):
        self.version = version
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=WAIT_SECONDS, source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser(version)
        self._waiting = []
        self._next_id = 0

    def send(self, *packets):
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.sendall(b"".join(packets))
        return self

    def receive(self, seconds=WAIT_SECONDS):
        """The next packet; None when the server closed the connection."""
        deadline = time.monotonic() + seconds
        while not self._waiting:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.socket.recv(262_144)
            except (ConnectionResetError, BrokenPipeError):
                return None
            if not data:
                return None
            self._waiting = self._parser.feed(data)
        return self._waiting.pop(0)

    def until(self, kind, seconds=WAIT_SECONDS):
        """The packets up to the first of this kind, that one last."""
        packets = []
        while True:
            got = self.receive(seconds)
            assert got is not None, f"closed before {NAMES[kind]}; got {packets}"
            packets.append(got)
            if got.kind == kind:
                return packets

    def sync(self):
        """The packets that the server had for this client up to now: those before its PINGRESP."""
        self.send(PING)
        return self.until(PINGRESP)[:-1]

    def rest(self, seconds=WAIT_SECONDS):
        """The packets until the server closes the connection."""
        packets = []
        while (got := self.receive(seconds)) is not None:
            packets.append(got)
        return packets

    def connect(self, client_id, **options):
        """CONNECT; returns CONNACK."""
        self.send(connect(client_id, self.version, **options))
        return self.until(CONNACK)[-1]

    def subscribe(self, *filters, options=0, properties=b""):
        """SUBSCRIBE; returns the codes. What came before SUBACK waits to be received."""
        pairs = [f if isinstance(f, tuple) else (f, options) for f in filters]
        self.send(subscribe(self.take_id(), pairs, self.version, properties))
        *before, suback = self.until(SUBACK)
        self._waiting = before + self._waiting
        return list(suback.payload)

    def publish(self, topic, payload=b"", qos=0, **options):
        """PUBLISH, and no more than that; returns its packet identifier."""
        if qos and "packet_id" not in options:
            options["packet_id"] = self.take_id()
        self.send(publish(topic, payload, qos, version=self.version, **options))
        return options.get("packet_id")

    def take_id(self):
        self._next_id = self._next_id % 65_535 + 1
        return self._next_id

    def close(self):
        """The end without DISCONNECT."""
        self.socket.close()

    stop = close
