"""The same conversation with fleet-broker and with Debian's Mosquitto: what clients get must be the same.

Random, by a seed in the name of the test: clients of all versions come, go, subscribe, unsubscribe and
publish; after each step everyone reads until nothing more comes. Each step is a barrier, so that both
brokers have done the same; within a step the order counts for each topic alone.
"""

import random

import pytest

import mqtt_wire as mqtt
from scale import scaled

TOPICS = ("a", "a/b", "a/b/c", "b", "b/c", "$own/a", "a//c", "/a")
FILTERS = ("#", "a", "a/#", "a/+", "+/b", "+", "+/+/c", "b/#", "$own/#", "a/b/c", "/+", "a//c")
EXPIRY = 10_000


class Side:
    """One broker as all the clients see it."""

    def __init__(self, port):
        self.port, self.wires = port, {}

    def drain(self):
        """Read and answer until nothing more comes to anybody; what came, by client."""
        got, again = {}, True
        while again:
            again = False
            for name, wire in list(self.wires.items()):
                wire.send(mqtt.PING)
                while (packet := wire.receive()) is None or packet.kind != mqtt.PINGRESP:
                    again = True
                    got.setdefault(name, []).append(packet)
                    if packet is None:
                        del self.wires[name]
                        break
                    answer = {mqtt.PUBLISH: (None, mqtt.PUBACK, mqtt.PUBREC), mqtt.PUBREC: mqtt.PUBREL,
                              mqtt.PUBREL: mqtt.PUBCOMP}.get(packet.kind)
                    if packet.kind == mqtt.PUBLISH:
                        answer = answer[packet.qos]
                    if answer:
                        wire.send(mqtt.acknowledgement(answer, packet.packet_id))
        return got


def matches(topic_filter, topic):
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic[0] == "$" and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def in_words(packets, filters):
    """What came, so that two brokers can be compared: order within a topic counts, DUP does not.

    Where several filters of a client match, a server may send one copy or several, at the QoS of any
    [MQTT-3.3.4-2]: there only what came counts, not how often and how.
    """
    by_topic, others = {}, []
    for packet in packets:
        if packet is None:
            others.append("closed")
        elif packet.kind == mqtt.PUBLISH:
            topic = packet.topic.decode()
            words = f"{packet.payload.decode()} {packet.properties.hex()}"
            came = by_topic.setdefault(topic, [])
            if sum(matches(f, topic) for f in filters) < 2:
                came.append(f"{words} q{packet.qos}{' retain' if packet.retain else ''}")
            elif words not in came:
                came.append(words)
        elif packet.kind == mqtt.SUBACK:
            others.append(f"{packet} {packet.payload.hex()}")
        elif packet.kind == mqtt.UNSUBACK:
            # Mosquitto does not say which of several filters was not subscribed to.
            others.append(f"{packet} {packet.payload.hex().replace('11', '00')}")
        elif packet.kind == mqtt.CONNACK:
            others.append(f"CONNACK {packet.code} present={packet.session_present}")
        elif packet.kind in (mqtt.PUBACK, mqtt.PUBREC) and packet.code == 0x10:
            # Nobody has subscribed: a server may say so, or not.
            others.append(f"{mqtt.NAMES[packet.kind]} {packet.packet_id} 0")
        elif packet.kind != mqtt.PUBREL:
            others.append(f"{mqtt.NAMES[packet.kind]} {packet.packet_id} {packet.code}")
    return others, by_topic


class Conversation:
    def __init__(self, seed, ports):
        self.random = random.Random(seed)
        self.sides = [Side(port) for port in ports]
        self.versions = {"x": "3.1.1", "y": "5", "z": "5", "w": "3.1"}
        self.connected, self.has_will, self.filters = {}, {}, {}
        self.number, self.said = 0, []
        # Connections whose session another has taken over; they stay open until it has.
        self.left = []

    def step(self):
        name = self.random.choice(list(self.versions))
        if name not in self.connected:
            what = self.come(name)
        else:
            action = self.random.choices(
                (self.publish, self.subscribe, self.unsubscribe, self.leave, self.break_off,
                 self.take_over), (12, 5, 2, 1, 1, 1))[0]
            what = action(name)
        self.said.append(f"{name}: {what}")
        heard = [side.drain() for side in self.sides]
        while self.left:
            self.left.pop().close()
        for client in self.versions:
            filters = self.filters.get(client, ())
            ours, theirs = (in_words(got.get(client, []), filters) for got in heard)
            assert ours == theirs, (
                f"{client} got from fleet-broker, then from Mosquitto:\n  {ours}\n  {theirs}\nafter:\n  "
                + "\n  ".join([line for line in self.said[:-20] if line[0] == client]
                               + self.said[-20:]))

    def send(self, name, packet):
        for side in self.sides:
            side.wires[name].send(packet)
        return packet.hex()

    def come(self, name):
        chance, version = self.random, self.versions[name]
        clean = chance.random() < 0.3
        will = None
        if chance.random() < 0.3:
            will = {"topic": chance.choice(TOPICS), "payload": f"will {self.number}",
                    "qos": chance.randrange(3), "retain": chance.random() < 0.3}
        kept = not clean and version != "5" or version == "5" and chance.random() < 0.8
        properties = mqtt.session_expiry(EXPIRY) if version == "5" and kept else b""
        packet = mqtt.connect(name, version, clean, will=will, properties=properties)
        for side in self.sides:
            side.wires[name] = mqtt.Wire(side.port, version).send(packet)
        self.connected[name], self.has_will[name] = kept, will is not None
        if clean:
            self.filters[name] = set()
        return f"CONNECT clean={clean} kept={kept} will={will}"

    def take_over(self, name):
        if self.has_will[name]:
            # The will of the connection that goes: Mosquitto 2.0 does not publish it.
            return self.leave(name)
        self.left += [side.wires.pop(name) for side in self.sides]
        if not self.connected[name]:
            self.filters[name] = set()
        return "again: " + self.come(name)

    def gone(self, name):
        for side in self.sides:
            side.wires.pop(name).close()
        if not self.connected.pop(name):
            self.filters[name] = set()

    def leave(self, name):
        version = self.versions[name]
        with_will = version == "5" and self.random.random() < 0.3
        self.send(name, mqtt.disconnect(version, 4 if with_will else 0))
        for side in self.sides:
            assert side.wires[name].rest() == []
        self.gone(name)
        return f"DISCONNECT will={with_will}"

    def break_off(self, name):
        self.gone(name)
        return "gone without DISCONNECT"

    def publish(self, name):
        chance, version = self.random, self.versions[name]
        topic, qos, retain = chance.choice(TOPICS), chance.randrange(3), chance.random() < 0.25
        self.number += 1
        payload = "" if retain and chance.random() < 0.2 else str(self.number)
        properties = b""
        if version == "5":
            properties += chance.choice((b"", b"\x01\x01")) + chance.choice((b"", b"\x03\0\x01t"))
            properties += b"".join(b"\x26" + mqtt.field(chance.choice("kl")) + mqtt.field(str(n))
                                   for n in range(chance.randrange(3)))
        packet_id = self.number % 60_000 + 1 if qos else None
        self.send(name, mqtt.publish(topic, payload, qos, packet_id, False, retain, version,
                                     properties))
        return f"PUBLISH {topic}={payload} q{qos} retain={retain} {properties.hex()}"

    def subscribe(self, name):
        chance, version = self.random, self.versions[name]
        pairs = []
        for topic_filter in chance.sample(FILTERS, chance.choice((1, 1, 1, 2, 3))):
            options = chance.randrange(3)
            if version == "5":
                # Mosquitto 2.0 takes no new No Local and Retain As Published for a filter that it knows.
                options |= (FILTERS.index(topic_filter) + (name == "z")) % 4 << 2
                options |= chance.choice((0, 16, 32))
            pairs.append((topic_filter, options))
            self.filters.setdefault(name, set()).add(topic_filter)
        self.number += 1
        self.send(name, mqtt.subscribe(self.number % 60_000 + 1, pairs, version))
        return f"SUBSCRIBE {pairs}"

    def unsubscribe(self, name):
        names = self.random.sample(FILTERS, 2)
        self.filters.setdefault(name, set()).difference_update(names)
        self.number += 1
        self.send(name, mqtt.unsubscribe(self.number % 60_000 + 1, names, self.versions[name]))
        return f"UNSUBSCRIBE {names}"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(scaled(5, 200)))
def test_both_say_the_same(fleet_broker, mosquitto, seed):
    durability = "process" if seed % 4 == 0 else "memory"
    brokers = [fleet_broker(f'durability = "{durability}"\n'), mosquitto()]
    conversation = Conversation(seed, [broker.port for broker in brokers])
    for _ in range(scaled(150, 400)):
        conversation.step()
