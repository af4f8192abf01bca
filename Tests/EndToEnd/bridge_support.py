"""What the bridge's tests need: a bridge in a folder, and an upstream that misbehaves on command."""

import json
import pathlib
import socket
import struct
import threading

from fleetlab.processes import WAIT_SECONDS, Process, program, wait_until
from support import Client

SITE, NODE = "farm", "gateway"
TOPIC = f"fleet/v1/{SITE}/n1/m/t"
LINK = f"fleet/v1/{SITE}/{NODE}/link/cloud"
SERVICE = f"fleet/v1/{SITE}/{NODE}/service/bridge"


class Bridge:
    """fleet-bridge with its configuration and state in a folder; it can be killed and started again."""

    def __init__(self, folder, edge_port, upstream_url, upstream="", more=""):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = self.folder / "state"
        self.file = self.folder / "bridge.toml"
        self.edge_port = edge_port
        self.configure(upstream_url, upstream, more)
        self.start()

    def configure(self, upstream_url, upstream="", more=""):
        self.file.write_text(
            f'site = "{SITE}"\nnode = "{NODE}"\n[report]\nedge_interval = "200ms"\n'
            f'upstream_interval = "200ms"\n[edge]\nurl = "mqtt://127.0.0.1:{self.edge_port}"\n'
            f'[upstream]\nurl = "{upstream_url}"\nkeep_alive = "2s"\n{upstream}\n{more}\n')

    def start(self):
        self.process = Process(
            [program("fleet-bridge"), "--config", self.file, "--state-directory", self.state],
            name="fleet-bridge")
        self.process.wait_for("ready")

    def kill(self):
        return self.process.kill()

    def stop(self):
        return self.process.stop()

    def connected(self, *sides):
        for side in sides or ("edge", "upstream"):
            self.process.wait_for(f"{side}: connected")
            # Before its subscription is there, a message of a test would pass it by.
            self.process.wait_for(f"{side}: subscribed")
        return self


class Watcher(Client):
    """A subscriber that keeps everything; MQTT 5, so that it sees the properties."""

    def __init__(self, port, *filters, **options):
        options.setdefault("version", "5")
        super().__init__(port, **options)
        self.connected()
        self.subscribe(*filters, qos=1)

    def of(self, topic):
        return [m for m in list(self.messages) if m.topic == topic]

    def payloads(self, topic=TOPIC):
        return [m.payload.decode() for m in self.of(topic)]

    def last_json(self, topic):
        found = self.of(topic)
        return json.loads(found[-1].payload) if found and found[-1].payload else {}

    def counters(self):
        return self.last_json(SERVICE).get("counters", {})

    def until(self, condition, what, seconds=WAIT_SECONDS):
        return wait_until(condition, what, seconds)


def fleet_property(message):
    """The parts of the `fleet` user property: epoch, route, number, time, and perhaps h."""
    for name, value in getattr(message.properties, "UserProperty", []):
        if name == "fleet":
            return value.split(":")
    return None


def in_order(payloads):
    """Whether first arrivals are in order; a repetition may go back, never forward."""
    highest = -1
    for text in payloads:
        number = int(text)
        if number > highest + 1:
            return False
        highest = max(highest, number)
    return True


class FakeUpstream:
    """An MQTT 5 server of a few lines, whose faults the test chooses.

    `answer(publish)` gives the reason code of the PUBACK, or None for none at all.
    `session_present(connection number)` and `properties` (bytes) go into CONNACK.
    """

    def __init__(self, answer=lambda publish: 0, properties=b"", session_present=lambda n: False,
                 closes=lambda publish: False):
        self.answer, self.properties = answer, properties
        self.session_present, self.closes = session_present, closes
        self.published, self.connections, self.wrong = [], 0, []
        self.unanswered = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._closing = False
        self._peers = []
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def texts(self, topic=TOPIC):
        return [p["payload"].decode() for p in list(self.published) if p["topic"] == topic]

    def close(self):
        self._closing = True
        self._server.close()
        for peer in self._peers:
            peer.close()

    def _run(self):
        while not self._closing:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        self.connections += 1
        number = self.connections
        stream = peer.makefile("rb")
        try:
            while not self._closing:
                head = stream.read(1)
                if not head:
                    return
                body = stream.read(self._length(stream))
                if not self._packet(peer, head[0], body, number):
                    peer.close()
                    return
        except (OSError, ValueError, IndexError):
            pass

    @staticmethod
    def _length(stream):
        value = shift = 0
        while True:
            byte = stream.read(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _packet(self, peer, head, body, number):
        kind = head >> 4
        if kind == 1:
            present = 1 if self.session_present(number) else 0
            rest = bytes([present, 0, len(self.properties)]) + self.properties
            peer.sendall(bytes([0x20, len(rest)]) + rest)
        elif kind == 3:
            return self._publish(peer, head, body, number)
        elif kind == 8:
            count = self._filters(body)
            peer.sendall(bytes([0x90, 3 + count]) + body[:2] + b"\0" + b"\1" * count)
        elif kind == 12:
            peer.sendall(b"\xd0\0")
        return kind != 14

    @staticmethod
    def _filters(body):
        at, count = 3 + body[2], 0
        while at < len(body):
            at += 3 + struct.unpack_from(">H", body, at)[0]
            count += 1
        return count

    def _publish(self, peer, head, body, number):
        size = struct.unpack_from(">H", body)[0]
        at = 2 + size
        packet_id = body[at:at + 2]
        at += 2
        length, shift = 0, 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        publish = {"topic": body[2:2 + size].decode(), "payload": body[at + length:],
                   "dup": bool(head & 8), "qos": (head >> 1) & 3, "retain": bool(head & 1),
                   "id": packet_id, "connection": number, "size": len(body) + 2}
        own = publish["topic"] in (LINK, SERVICE)
        self.published.append(publish)
        if not own and self.closes(publish):
            return False
        code = 0 if own else self.answer(publish)
        if code is None:
            self.unanswered += 1
        elif code == 0:
            peer.sendall(b"\x40\2" + packet_id)
        else:
            peer.sendall(b"\x40\4" + packet_id + bytes([code, 0]))
        return True
