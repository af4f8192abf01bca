"""What a broker offers less of, where it sends clients, and what it tells those who ask for answers."""

import signal

import pytest

import mqtt_wire as wire
from fleetlab.brokers import fleet_password_file
from fleetlab.processes import program, run
from mqtt_wire import Wire
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support import Client


def reload(broker, configuration, expect="configuration reloaded"):
    broker.file.write_text(configuration)
    before = len(broker.process.lines)
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for(expect, start=before)


def connected(port, name, version="5"):
    """A connection that was let in, and its CONNACK."""
    client = Wire(port, version)
    answer = client.connect(name)
    assert (answer.kind, answer.code) == (wire.CONNACK, 0)
    return client, answer


def test_a_listener_offers_less_than_the_broker(fleet_broker):
    broker = fleet_broker("""
[session]
maximum_qos = 1
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
maximum_qos = 0
retain_available = false
""", listen=None)
    wide = broker.port_of(0)
    narrow = broker.port_of(1)
    reader, answer = connected(wide, "reader")
    assert b"\x24\x01" in answer.properties and b"\x25" not in answer.properties
    assert reader.send(wire.subscribe(1, [("t", 2)], "5")).receive().payload == b"\x01"

    for packet, code in ((wire.publish("t", "x", 1, 1, version="5"), 0x9B),
                         (wire.publish("t", "x", retain=True, version="5"), 0x9A)):
        writer, answer = connected(narrow, "writer")
        assert b"\x24\x00" in answer.properties and b"\x25\x00" in answer.properties
        writer.send(wire.publish("t", "taken", version="5"), packet)
        goodbye = writer.receive()
        assert (goodbye.kind, goodbye.code) == (wire.DISCONNECT, code)
        assert writer.receive() is None
        assert reader.receive().payload == b"taken"
    for will in ({"topic": "w", "qos": 1}, {"topic": "w", "retain": True}):
        assert Wire(narrow, "5").connect("w", will=will).code == (0x9B if "qos" in will else 0x9A)
        assert Wire(narrow).send(wire.connect("w", will=will)).receive() is None
    broker.process.wait_for("reason=\"a QoS above the server's maximum")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_reload_sends_clients_to_another_server(fleet_broker, threads):
    # With several threads the clients are served by some of them, whichever their names choose.
    base = f'threads = {threads}\ndurability = "memory"\n'
    broker = fleet_broker(base)
    new, _ = connected(broker.port, "new")
    others = [connected(broker.port, f"new-{index}")[0] for index in range(8)]
    old, _ = connected(broker.port, "old", "3.1.1")
    reload(broker, base + '[redirect]\nservers = ["next.example:1883", "[::1]:1884"]\n')
    goodbye = new.receive()
    reference = b"\x1c" + wire.field("next.example:1883 [::1]:1884")
    assert (goodbye.kind, goodbye.code) == (wire.DISCONNECT, 0x9C)
    assert reference in goodbye.properties
    assert new.receive() is None and old.receive() is None
    assert {other.receive().code for other in others} == {0x9C}
    answer = Wire(broker.port, "5").connect("new")
    assert (answer.code, reference in answer.properties) == (0x9C, True)
    assert Wire(broker.port).connect("old").code == 3

    reload(broker, base + '[redirect]\nservers = ["next.example"]\npermanent = true\n')
    assert Wire(broker.port, "5").connect("new").code == 0x9D
    # What is wrong changes nothing.
    reload(broker, base + "[redirect]\n", expect="redirect.servers is missing")
    assert Wire(broker.port, "5").connect("new").code == 0x9D
    reload(broker, base)
    connected(broker.port, "new")


def test_a_requester_is_told_where_its_answers_come(fleet_broker, tmp_path):
    users = fleet_password_file(tmp_path / "users", {"asker": "one", "worker": "two"})
    broker = fleet_broker(f"""
[authentication]
password_file = "{users}"
[session]
response_information = "answers/%u/%c"
[role.asker]
users = ["asker"]
publish = ["questions"]
subscribe = ["answers/%u/%c/#"]
[role.worker]
users = ["worker"]
publish = ["answers/#"]
subscribe = ["questions"]
""")
    asks = Properties(PacketTypes.CONNECT)
    asks.RequestResponseInformation = 1
    asker = Client(broker.port, "desk", "5", user="asker", password="one",
                   connect_properties=asks).connected()
    base = asker.connection[2].ResponseInformation
    assert base == "answers/asker/desk"
    assert not asker.subscribe(base + "/1", qos=1)[0].is_failure
    worker = Client(broker.port, "worker", "5", user="worker", password="two").connected()
    assert not hasattr(worker.connection[2], "ResponseInformation")
    worker.subscribe("questions", qos=1)
    question = Properties(PacketTypes.PUBLISH)
    question.ResponseTopic = base + "/1"
    question.CorrelationData = b"7"
    asker.publish("questions", b"how warm?", 1, properties=question)
    worker.received(1)
    asked = worker.messages[0].properties
    answer = Properties(PacketTypes.PUBLISH)
    answer.CorrelationData = asked.CorrelationData
    worker.publish(asked.ResponseTopic, b"21", 1, properties=answer)
    assert asker.received(1) == [b"21"]
    assert asker.messages[0].properties.CorrelationData == b"7"
    asker.disconnect()
    worker.disconnect()


@pytest.mark.parametrize("line, why", [
    ('[session]\nresponse_information = "a/+"', "2:1: session.response_information: this is no topic"),
    ('[session]\nresponse_information = "a/x%c"', "a placeholder (%u, %c) must fill its level"),
    ('[session]\nresponse_information = "$SYS/%c"', "only the server publishes to $SYS"),
    ("[session]\nmaximum_qos = 3", "2:1: session.maximum_qos: must be from 0 to 2"),
    ("[redirect]\nservers = []", "2:1: redirect.servers: names no server"),
    ('[redirect]\nservers = ["a b"]', "redirect.servers: is no reference to a server"),
    ('[redirect]\nservers = ["a"]\nlisteners = ["x"]', 'no [[listener]] is called "x"'),
])
def test_a_wrong_setting_is_named_with_its_place(tmp_path, line, why):
    file = tmp_path / "broker.toml"
    file.write_text(line + "\n")
    done = run([program("fleet-broker"), "--config", file, "--check-config"])
    assert done.returncode == 78
    assert why in done.stderr, done.stderr
