"""Publishers and subscribers that follow MQTT to the letter, whatever happens to their broker.

Every client keeps its half of the session, as a client must: what it has not seen acknowledged it sends
again with DUP, and it remembers QoS 2 identifiers. What each subscriber got is compared with what was
sent, message by message; nothing here depends on how a broker stores anything.
"""

import collections
import dataclasses
import selectors
import socket

import mqtt_wire as mqtt

EXAMPLES_MAXIMUM = 8
KEPT = mqtt.session_expiry(86_400)


@dataclasses.dataclass
class Result:
    """What went wrong, counted; `examples` says of a few what it was."""

    seed: int
    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    received: int = 0
    repeated_at_least_once: int = 0
    missing: int = 0
    twice: int = 0
    out_of_order: int = 0
    sessions_lost: int = 0
    retained_wrong: int = 0
    protocol_faults: int = 0
    examples: list = dataclasses.field(default_factory=list)

    FAULTS = ("missing", "twice", "out_of_order", "sessions_lost", "retained_wrong",
              "protocol_faults")

    def note(self, fault, text, count=1):
        setattr(self, fault, getattr(self, fault) + count)
        if len(self.examples) < EXAMPLES_MAXIMUM:
            self.examples.append(f"{fault}: {text}")

    def faults(self):
        return {name: getattr(self, name) for name in self.FAULTS if getattr(self, name)}

    def __str__(self):
        return (f"seed {self.seed}: {self.kills} kills, {self.acknowledged} of {self.sent} sent "
                f"messages acknowledged, {self.received} received, {self.repeated_at_least_once} "
                f"repeated at QoS 1, faults {self.faults() or 'none'}"
                + "".join(f"\n  {line}" for line in self.examples))


class Endpoint:
    """A client that comes back whenever its connection ends, and remembers what a client must."""

    def __init__(self, campaign, client_id, version):
        self.campaign, self.client_id, self.version = campaign, client_id, version
        self.socket, self.parser = None, None
        self.output = b""
        self.is_connected = False
        self.has_session = False
        self.generation = -1

    def open(self):
        """A new connection to the broker of now; whatever fails is tried again later."""
        connection = socket.socket()
        try:
            connection.connect(("127.0.0.1", self.campaign.broker.port))
        except OSError:
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.generation = self.campaign.generation
        self.socket, self.parser = connection, mqtt.Parser(self.version)
        self.output = mqtt.connect(self.client_id, self.version, clean=False,
                                   properties=KEPT if self.version == "5" else b"")
        self.campaign.selector.register(connection, selectors.EVENT_READ, self)
        self.flush()

    def close(self):
        if self.socket is None:
            return
        self.campaign.selector.unregister(self.socket)
        self.socket.close()
        self.socket, self.is_connected, self.output = None, False, b""
        self.lost_connection()

    def flush(self):
        if not self.output or self.socket is None:
            return
        try:
            self.output = self.output[self.socket.send(self.output):]
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def readable(self):
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if self.generation == self.campaign.generation and self.campaign.is_up:
                self.campaign.closed_by_broker.append(self.client_id)
            return self.close()
        for packet in self.parser.feed(data):
            if packet.kind == mqtt.CONNACK:
                self.connected(packet)
            elif packet.kind == mqtt.DISCONNECT:
                self.campaign.result.note("protocol_faults", f"{self.client_id} got {packet}")
            else:
                self.take(packet)

    def connected(self, connack):
        if connack.code:
            return self.campaign.result.note("protocol_faults", f"{self.client_id} got {connack}")
        # 3.1 has no such flag, so that its CONNACK tells nothing.
        is_present = connack.session_present or self.version == "3.1"
        if self.has_session and not is_present:
            self.campaign.result.note("sessions_lost", self.client_id)
        self.is_connected = True
        self.resume(self.has_session and is_present)
        self.has_session = True

    def lost_connection(self):
        pass


class Publisher(Endpoint):
    """Numbers its messages for each topic and QoS, and keeps `window` of them in flight."""

    def __init__(self, campaign, client_id, version, topics, window, sizes):
        super().__init__(campaign, client_id, version)
        self.topics, self.window, self.sizes = topics, window, sizes
        self.numbers = collections.Counter()
        # By packet identifier, in the order in which they were sent.
        self.unacknowledged, self.unreleased = {}, {}
        self._next_id = 0
        self.last_retained = {}

    def resume(self, _):
        """What was not acknowledged, in its order and with DUP; then what was not released."""
        self.output += b"".join(
            mqtt.publish(topic, payload, qos, packet_id, True, retain, self.version)
            for packet_id, (topic, payload, qos, retain) in self.unacknowledged.items())
        self.output += b"".join(mqtt.acknowledgement(mqtt.PUBREL, i) for i in self.unreleased)

    def publish_more(self):
        chance = self.campaign.random
        room = self.window - len(self.unacknowledged) - len(self.unreleased)
        for _ in range(min(room, chance.randrange(1, 24))):
            topic, qos = chance.choice(self.topics), chance.choice((1, 2))
            retain = topic.startswith("kept/")
            if retain:
                # Order holds within a QoS: which of two is the last is known of one QoS alone.
                qos = 1 + int(topic[5:])
            number = self.numbers[topic, qos]
            self.numbers[topic, qos] += 1
            payload = f"{self.client_id} {qos} {number} ".encode() + b"x" * chance.choice(self.sizes)
            packet_id = self._take_id()
            self.unacknowledged[packet_id] = (topic, payload, qos, retain)
            if retain:
                self.last_retained[topic] = payload
            self.output += mqtt.publish(topic, payload, qos, packet_id, False, retain, self.version)
            self.campaign.result.sent += 1

    def take(self, packet):
        # A PUBREL that was answered already, and the answer lost, is for an identifier not in use.
        if packet.code >= 0x80 and (packet.kind, packet.code) != (mqtt.PUBCOMP, 0x92):
            self.campaign.result.note("protocol_faults", f"{self.client_id} got {packet}")
        if packet.kind == mqtt.PUBACK:
            if self.unacknowledged.pop(packet.packet_id, None):
                self.campaign.result.acknowledged += 1
        elif packet.kind == mqtt.PUBREC:
            # From here on the broker answers for it: it is not sent again.
            if self.unacknowledged.pop(packet.packet_id, None):
                self.campaign.result.acknowledged += 1
                self.unreleased[packet.packet_id] = True
            if packet.packet_id in self.unreleased:
                self.output += mqtt.acknowledgement(mqtt.PUBREL, packet.packet_id)
        elif packet.kind == mqtt.PUBCOMP:
            self.unreleased.pop(packet.packet_id, None)

    def is_idle(self):
        return not self.unacknowledged and not self.unreleased

    def _take_id(self):
        while True:
            self._next_id = self._next_id % 65_535 + 1
            if self._next_id not in self.unacknowledged and self._next_id not in self.unreleased:
                return self._next_id


class Subscriber(Endpoint):
    """Takes messages, answers late and in order, and knows for each sender what must come next."""

    def __init__(self, campaign, client_id, version, topic_filter, qos):
        super().__init__(campaign, client_id, version)
        self.filter, self.qos = topic_filter, qos
        self.is_subscribed = False
        # QoS 2 identifiers taken and not released, with what came under them.
        self.taken = {}
        self.next = collections.Counter()
        # Numbers that others overtook; empty unless something is wrong.
        self.overtaken = set()
        self.answers = collections.deque()

    def resume(self, is_present):
        if not is_present:
            self.taken = {}
            self.is_subscribed = False
        if not self.is_subscribed:
            self.output += mqtt.subscribe(1, [(self.filter, self.qos)], self.version)

    def lost_connection(self):
        self.answers.clear()

    def take(self, packet):
        if packet.kind == mqtt.SUBACK:
            self.is_subscribed = True
            if packet.payload != bytes([self.qos]):
                self.campaign.result.note("protocol_faults", f"{self.client_id} got {packet}")
        elif packet.kind == mqtt.PUBREL:
            self.taken.pop(packet.packet_id, None)
            self.answers.append(mqtt.acknowledgement(mqtt.PUBCOMP, packet.packet_id))
        elif packet.kind == mqtt.PUBLISH:
            if packet.qos == 2:
                self.take_exactly_once(packet)
            else:
                self.arrived(packet)
                if packet.qos == 1:
                    self.answers.append(mqtt.acknowledgement(mqtt.PUBACK, packet.packet_id))

    def take_exactly_once(self, packet):
        before = self.taken.get(packet.packet_id)
        if before is None:
            self.taken[packet.packet_id] = (packet.topic, packet.payload)
            self.arrived(packet)
        elif before != (packet.topic, packet.payload):
            self.campaign.result.note(
                "protocol_faults", f"{self.client_id}: {packet} under the identifier of {before}")
        elif not packet.dup:
            self.campaign.result.note("protocol_faults", f"{self.client_id}: {packet} without DUP")
        self.answers.append(mqtt.acknowledgement(mqtt.PUBREC, packet.packet_id))

    def arrived(self, packet):
        sender, qos, number = packet.payload.split(b" ", 3)[:3]
        key, number = (packet.topic.decode(), sender.decode(), int(qos)), int(number)
        result, expected = self.campaign.result, self.next[key]
        what = f"{self.client_id} got {key} number {number}, not {expected}: {packet}"
        if number == expected:
            result.received += 1
        elif number > expected:
            result.note("missing", what, number - expected)
            self.overtaken.update((key, n) for n in range(expected, number))
            result.received += 1
        elif (key, number) in self.overtaken:
            self.overtaken.remove((key, number))
            result.missing -= 1
            result.note("out_of_order", what)
        elif packet.qos == 1:
            result.repeated_at_least_once += 1
        else:
            result.note("twice", what)
        self.next[key] = max(expected, number + 1)

    def answer(self, count):
        for _ in range(min(count, len(self.answers))):
            self.output += self.answers.popleft()
