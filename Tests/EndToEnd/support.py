"""What several end-to-end tests need beside the fixtures: a paho-mqtt client that can be waited on."""

import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleetlab.processes import WAIT_SECONDS, Process, system_program

VERSIONS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
MOSQUITTO_VERSIONS = {"3.1": "mqttv31", "3.1.1": "mqttv311", "5": "mqttv5"}


class Client:
    """paho-mqtt on a thread of its own; every event is kept and can be waited for."""

    def __init__(self, port, client_id="", version="3.1.1", clean=True, host="127.0.0.1",
                 user=None, password=None, ca_file=None, certificate=None, will=None,
                 connect_properties=None, keep_alive=60, manual_ack=False, transport="tcp",
                 path=None, headers=None):
        self.messages, self.acknowledged, self.granted = [], [], []
        self.connection, self.disconnection = None, None
        self._changed = threading.Condition()
        clean_argument = {} if version == "5" else {"clean_session": clean}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id,
            protocol=VERSIONS[version], manual_ack=manual_ack, transport=transport,
            reconnect_on_failure=False, **clean_argument)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_subscribe
        if transport == "websockets":
            self.client.ws_set_options(path=path or "/mqtt", headers=headers)
        if user is not None:
            self.client.username_pw_set(user, password)
        if ca_file:
            pair = [str(p) for p in certificate] if certificate else [None, None]
            self.client.tls_set(ca_certs=str(ca_file), certfile=pair[0], keyfile=pair[1])
        if will:
            self.client.will_set(**will)
        extra = {}
        if version == "5":
            extra = {"clean_start": clean, "properties": connect_properties}
        self.client.connect(host, port, keepalive=keep_alive, **extra)
        self.client.loop_start()

    def _note(self, change):
        with self._changed:
            change()
            self._changed.notify_all()

    def _on_connect(self, _, __, flags, reason, properties):
        self._note(lambda: setattr(self, "connection", (flags, reason, properties)))

    def _on_disconnect(self, _, __, ___, reason, properties):
        self._note(lambda: setattr(self, "disconnection", (reason, properties)))

    def _on_message(self, _, __, message):
        self._note(lambda: self.messages.append(message))

    def _on_publish(self, _, __, packet_id, reason, properties):
        self._note(lambda: self.acknowledged.append((packet_id, reason, properties)))

    def _on_subscribe(self, _, __, packet_id, reasons, properties):
        self._note(lambda: self.granted.append((packet_id, reasons, properties)))

    def wait(self, condition, what):
        with self._changed:
            if not self._changed.wait_for(condition, WAIT_SECONDS):
                raise TimeoutError(
                    f"waited for {what}; messages: {[m.payload for m in self.messages]}, "
                    f"connection: {self.connection}, disconnection: {self.disconnection}")
        return self

    def connected(self):
        """Wait for CONNACK; the connection must have been accepted."""
        self.wait(lambda: self.connection, "CONNACK")
        assert not self.connection[1].is_failure, self.connection
        return self

    def refused(self):
        """Wait for a CONNACK that refuses; returns its reason code."""
        self.wait(lambda: self.connection, "CONNACK")
        assert self.connection[1].is_failure, "the connection was accepted"
        return self.connection[1]

    def disconnected(self):
        self.wait(lambda: self.disconnection, "the end of the connection")
        return self.disconnection[0]

    def subscribe(self, *filters, qos=0, options=None, properties=None):
        """Subscribe and wait for SUBACK; returns its reason codes."""
        asked = [(f, options if options is not None else qos) for f in filters]
        _, packet_id = self.client.subscribe(asked, properties=properties)
        self.wait(lambda: any(g[0] == packet_id for g in self.granted), "SUBACK")
        return next(g[1] for g in self.granted if g[0] == packet_id)

    def publish(self, topic, payload=b"", qos=0, retain=False, properties=None):
        """Publish and wait until it is acknowledged as its QoS asks; returns the reason code."""
        info = self.client.publish(topic, payload, qos, retain, properties)
        if qos == 0:
            info.wait_for_publish(WAIT_SECONDS)
            return None
        self.wait(lambda: any(a[0] == info.mid for a in self.acknowledged),
                  f"the acknowledgement of {topic}")
        return next(a[1] for a in self.acknowledged if a[0] == info.mid)

    def received(self, count):
        """Wait for `count` messages; returns their payloads."""
        self.wait(lambda: len(self.messages) >= count, f"{count} messages")
        return [m.payload for m in self.messages]

    def topics(self):
        return [m.topic for m in self.messages]

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    stop = disconnect

    def vanish(self):
        """Close the socket without DISCONNECT, as a machine that loses power does."""
        import socket
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.disconnected()
        self.client.loop_stop()


def round_trip(port, **options):
    """The broker still serves: a client connects, subscribes, and gets what it publishes."""
    client = Client(port, "round", **options).connected()
    client.subscribe("round", qos=1)
    client.publish("round", b"trip", 1)
    assert client.received(1) == [b"trip"]
    client.disconnect()


def resident_kilobytes(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))


def properties(packet, **values):
    """MQTT 5 properties by paho's attribute names."""
    found = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(found, name, value)
    return found


def mosquitto_sub(port, *arguments, version="3.1.1"):
    """mosquitto_sub that prints a line a message; waited until it is subscribed."""
    process = Process(
        [system_program("mosquitto_sub"), "-h", "127.0.0.1", "-p", port, "-d",
         "-V", MOSQUITTO_VERSIONS[version], *arguments], name="mosquitto_sub", by_line=True)
    process.wait_for("Subscribed")
    return process


def mosquitto_pub(port, *arguments, version="3.1.1"):
    from fleetlab.processes import run
    done = run([system_program("mosquitto_pub"), "-h", "127.0.0.1", "-p", port,
                "-V", MOSQUITTO_VERSIONS[version], *arguments])
    assert done.returncode == 0, done.stderr
    return done
