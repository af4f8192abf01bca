"""fleet-agent against real brokers: payloads, outages, broken sensors, cloned cards, commands."""

import json
import os
import pathlib
import signal
import subprocess
import uuid

import jsonschema
import pytest

from conftest import ROOT
from fleetlab.certificates import CertificateAuthority
from fleetlab.processes import free_port, program, run, wait_until
from support import Client, properties

SCHEMAS = {path.stem: json.loads(path.read_text())
           for path in (ROOT / "docs/reference/schemas").glob("*.json")}
CHANNELS = {"m": "measurement", "cmd": "command", "res": "response"}
NODE = "fleet/v1/farm/barn-1"

SIMULATED = '[[sensor]]\nname = "attic"\nsource = "simulated"\ninterval = "100ms"\n'


@pytest.fixture(params=["fleet-broker", "mosquitto"])
def edge(request, fleet_broker, mosquitto):
    return fleet_broker() if request.param == "fleet-broker" else mosquitto()


@pytest.fixture
def agent(tmp_path, start):
    """Starts an agent: agent(port, sensors, head="", state="state") -> Process."""
    def start_agent(port, sensors, head="", state="state"):
        file = tmp_path / f"agent-{uuid.uuid4().hex}.toml"
        file.write_text(f'site = "farm"\nnode = "barn-1"\n{head}\n[broker]\n'
                        f'url = "mqtt://127.0.0.1:{port}"\n{sensors}')
        return start([program("fleet-agent"), "--config", file,
                      "--state-directory", tmp_path / state], name="fleet-agent")
    return start_agent


def listen(port, *filters):
    client = Client(port, client_id=f"test-{uuid.uuid4().hex[:8]}")
    client.connected()
    client.subscribe(*(filters or (f"{NODE}/#",)), qos=1)
    return client


def payloads(client, channel):
    return [json.loads(m.payload) for m in list(client.messages)
            if m.topic.startswith(f"{NODE}/{channel}") and m.payload]


def check(topic, payload):
    channel = topic.split("/")[4]
    schema = SCHEMAS[CHANNELS.get(channel, channel)]
    jsonschema.validate(json.loads(payload), schema)


@pytest.fixture
def reloadable(tmp_path, start):
    """An agent with drop-ins: reloadable(main) -> (process, write(text): another drop-in and a reload)."""
    def begin(main):
        file = tmp_path / "agent.toml"
        file.write_text(f'site = "farm"\nnode = "barn-1"\n{main}')
        process = start([program("fleet-agent"), "--config", file, "--state-directory",
                         tmp_path / "state"])
        process.wait_for("ready")
        (tmp_path / "agent.d").mkdir()

        def write(text):
            (tmp_path / "agent.d" / "10-x.toml").write_text(text)
            return run([program("fleet-agent"), "reload", "--state-directory", tmp_path / "state"])
        return process, write
    return begin


def test_a_sensor_takes_the_place_of_the_machines_own_of_its_name(edge, agent):
    watcher = listen(edge.port, f"{NODE}/info")
    agent(edge.port, SIMULATED.replace("attic", "load"), head="machine_sensors = true").wait_for("ready")
    wait_until(lambda: payloads(watcher, "info"), "what the agent is")
    found = {name: sum(sensor["name"] == name for sensor in payloads(watcher, "info")[-1]["sensors"])
             for name in ("load", "memory")}
    assert found == {"load": 1, "memory": 1}


def test_a_reload_changes_sensors_and_nothing_is_missing(edge, reloadable, tmp_path):
    watcher = listen(edge.port)
    process, write = reloadable(
        f'measurement_log = "{tmp_path}/log"\n[broker]\nurl = "mqtt://127.0.0.1:{edge.port}"\n{SIMULATED}')
    wait_until(lambda: len(payloads(watcher, "m/attic")) > 10, "measurements")
    pid = process.pid
    done = write('[[sensor]]\nname = "cellar"\nsource = "simulated"\ninterval = "100ms"\n')
    assert (done.returncode, done.stdout) == (0, "configuration reloaded\n"), done.stderr
    wait_until(lambda: payloads(watcher, "m/cellar"), "the new sensor")
    count = len(payloads(watcher, "m/attic"))
    wait_until(lambda: len(payloads(watcher, "m/attic")) > count, "the old one")
    # Nothing changes without a change.
    lines = len(process.lines)
    assert write('# nothing else\n[[sensor]]\nname = "cellar"\nsource = "simulated"\n'
                 'interval = "100ms"\n').returncode == 0
    assert process.pid == pid and process.is_running()
    assert not any("connected" in line for line in process.lines[lines:])
    assert process.stop() == 0
    runs = {m["b"] for m in payloads(watcher, "m/attic")}
    assert len(runs) == 2, "a reload with other settings is another run"
    wait_until(lambda: published(watcher) >= logged(tmp_path), "all that was measured")


def test_a_reload_reads_the_same_paths_anew(fleet_broker, reloadable, tmp_path):
    right, wrong = (CertificateAuthority(tmp_path / name) for name in ("right", "wrong"))
    broker = fleet_broker('[[listener]]\naddress = "127.0.0.1:0"\nallow_anonymous = true\n'
                          'tls = {{ certificate = "{}", key = "{}" }}\n'.format(*right.issue("server")),
                          listen=None)
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(wrong.certificate.read_bytes())
    process, write = reloadable(f'[broker]\nurl = "mqtts://127.0.0.1:{broker.port}"\n'
                                f'ca_file = "{trusted}"\n{SIMULATED}')
    process.wait_for("certificate")
    trusted.write_bytes(right.certificate.read_bytes())
    assert write("").returncode == 0
    process.wait_for("connected")


def test_a_reload_takes_along_what_waits_for_a_broker(mosquitto, reloadable, tmp_path):
    process, write = reloadable(
        f'measurement_log = "{tmp_path}/log"\n[broker]\nurl = "mqtt://127.0.0.1:{free_port()}"\n{SIMULATED}')
    wait_until(lambda: len(logged(tmp_path)) > 10, "measurements")
    broker = mosquitto()
    watcher = listen(broker.port)
    assert write(f'[broker]\nurl = "mqtt://127.0.0.1:{broker.port}"\n').returncode == 0
    process.wait_for("connected")
    wait_until(lambda: len({m["b"] for m in payloads(watcher, "m/attic")}) == 2, "both runs")
    assert process.stop() == 0
    wait_until(lambda: published(watcher) >= logged(tmp_path), "all that was measured")
    numbers = [(m["b"], m["n"]) for m in payloads(watcher, "m/attic")]
    assert numbers == sorted(numbers, key=lambda pair: (pair[0] != numbers[0][0], pair[1]))
    assert payloads(watcher, "status")[-1]["state"] == "offline"


def logged(folder):
    """{(topic, n, t or b)} that the agent's own list has."""
    lines = [line.split("\t") for line in (folder / "log").read_text().splitlines()] \
        if (folder / "log").exists() else []
    return {(line[0], int(line[1]), line[2]) for line in lines}


def published(client):
    return {(m.topic, payload["n"], payload["t"]) for m in list(client.messages)
            if "/m/" in m.topic and (payload := json.loads(m.payload))}


def test_every_payload_is_as_its_schema_says(edge, agent):
    watcher = listen(edge.port)
    process = agent(edge.port, SIMULATED + "".join(
        f'[[sensor]]\nname = "{name}"\nsource = "{name}"\ninterval = "200ms"\n'
        for name in ("load", "memory", "disk", "uptime", "thermal")))
    wait_until(lambda: {"status", "info", "state", "health"} <= {
        m.topic.split("/")[4] for m in list(watcher.messages)}, "all channels")
    wait_until(lambda: len(payloads(watcher, "m/")) > 30, "measurements")
    watcher.publish(f"{NODE}/cmd/inventory/{uuid.uuid4()}", b"{}", qos=1)
    wait_until(lambda: any(r["state"] == "done" for r in payloads(watcher, "res/")), "an answer")
    assert process.stop() == 0
    wait_until(lambda: payloads(watcher, "status")[-1]["state"] == "offline", "the farewell")
    for message in list(watcher.messages):
        check(message.topic, message.payload)
    assert payloads(watcher, "status")[-1]["why"] == "stopped"


def test_a_schema_refuses_a_stale_number_that_looks_fresh():
    good = {"t": "2025-01-01T00:00:00.000Z", "v": 1.5, "n": 1, "b": "0" * 16}
    jsonschema.validate(good, SCHEMAS["measurement"])
    for change in ({"q": "bad", "why": "x"}, {"t": "yesterday"}, {"n": 0}, {"v": "1.5"}, {"b": ""}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, **change}, SCHEMAS["measurement"])


def test_nothing_is_missing_when_the_broker_was_away(mosquitto, agent, tmp_path):
    broker = mosquitto("allow_anonymous true\npersistence true\nautosave_interval 1\n"
                       f"persistence_location {tmp_path}/\n")
    before = Client(broker.port, client_id="recorder", clean=False)
    before.connected()
    before.subscribe("fleet/v1/farm/+/m/+", qos=1)
    log = tmp_path / "measured"
    process = agent(broker.port, SIMULATED, head=f'measurement_log = "{log}"')
    wait_until(lambda: len(before.messages) > 10, "measurements")
    # An orderly end, because Mosquitto keeps what it acknowledged only then.
    broker.process.stop()
    lines = len(log.read_text().splitlines())
    wait_until(lambda: len(log.read_text().splitlines()) > lines + 20, "measurements meanwhile")
    broker.start()
    after = Client(broker.port, client_id="recorder", clean=False)
    wait_until(lambda: process.output.count("connected broker") >= 2, "the agent to be back")
    assert process.stop() == 0
    measured = [tuple(line.split("\t")) for line in log.read_text().splitlines()]
    received = lambda: [*before.messages, *after.messages]  # noqa: E731
    wait_until(lambda: len({json.loads(m.payload)["n"] for m in received()}) >= len(measured),
               "everything to arrive")
    arrived = []
    for message in received():
        payload = json.loads(message.payload)
        row = (message.topic, str(payload["n"]), payload["t"], payload["v"])
        if row not in arrived:
            arrived.append(row)
    assert arrived == [(topic, n, t, float(v)) for topic, n, t, v in measured]


def kernel_folder(tmp_path, serial="100000009abcdef0"):
    files = {
        "proc/loadavg": "0.52 0.41 0.30 2/187 4242\n",
        "proc/sys/kernel/random/boot_id": "91a48fdd-5b53-4363-9568-c481b6fdc48b\n",
        "proc/sys/kernel/hostname": "raspberrypi\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/firmware/devicetree/base/serial-number": serial + "\0",
        "sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/bus/w1/devices/28-0316a2795f12/temperature": "23125\n",
    }
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return f'[kernel]\nproc_root = "{tmp_path}/proc"\nsys_root = "{tmp_path}/sys"\n'


BROKEN = "".join(
    f'[[sensor]]\nname = "{name}"\nsource = "{source}"\ninterval = "100ms"\ntimeout = "2s"\n'
    for name, source in (("cpu", "thermal"), ("attic", "w1"), ("load", "load")))


def last(client, sensor):
    return (payloads(client, f"m/{sensor}") or [{}])[-1]


def test_sensors_that_vanish_lie_and_hang_stop_nobody(fleet_broker, agent, tmp_path):
    broker = fleet_broker()
    watcher = listen(broker.port)
    kernel = kernel_folder(tmp_path)
    process = agent(broker.port, BROKEN + kernel)
    temp = tmp_path / "sys/class/thermal/thermal_zone0/temp"
    w1 = tmp_path / "sys/bus/w1/devices/28-0316a2795f12/temperature"
    wait_until(lambda: last(watcher, "cpu").get("v") == 48.312, "the processor")
    wait_until(lambda: last(watcher, "attic").get("v") == 23.125, "the attic")

    w1.write_text("85000\n")
    wait_until(lambda: "power-on" in last(watcher, "attic").get("why", ""), "the power-on value")
    temp.write_text("NaN\n")
    wait_until(lambda: "no whole number" in last(watcher, "cpu").get("why", ""), "the lie")
    w1.unlink()
    wait_until(lambda: "not there" in last(watcher, "attic").get("why", ""), "the vanished file")
    temp.unlink()
    wait_until(lambda: "not there" in last(watcher, "cpu").get("why", ""), "the vanished file")
    told = len(payloads(watcher, "m/cpu"))
    os.mkfifo(temp)
    wait_until(lambda: "timed out" in last(watcher, "cpu").get("why", ""), "the hanging file")

    # The one that works went on, and no number is missing or doubled in any of them.
    before = len(payloads(watcher, "m/load"))
    wait_until(lambda: len(payloads(watcher, "m/load")) > before + 5, "the load to go on")
    threads = len(list(pathlib.Path(f"/proc/{process.pid}/task").iterdir()))
    assert threads < 12
    for sensor in ("cpu", "attic", "load"):
        numbers = [p["n"] for p in payloads(watcher, f"m/{sensor}")]
        assert numbers == list(range(1, len(numbers) + 1))
    # A broken sensor says so once, not at each reading.
    assert len(payloads(watcher, "m/cpu")) == told + 1
    assert process.stop() == 0


def test_a_cloned_card_gets_a_new_instance_and_a_restart_keeps_it(fleet_broker, agent, tmp_path):
    broker = fleet_broker()
    watcher = listen(broker.port, f"{NODE}/status", f"{NODE}/m/+")

    def run(serial):
        count = len(payloads(watcher, "status"))
        measured = len(payloads(watcher, "m/"))
        process = agent(broker.port, SIMULATED + kernel_folder(tmp_path, serial))
        wait_until(lambda: len(payloads(watcher, "m/")) > measured, "a measurement")
        status = payloads(watcher, "status")[count]
        assert process.stop() == 0
        wait_until(lambda: payloads(watcher, "status")[-1]["state"] == "offline", "the end")
        return status, payloads(watcher, "m/")[-1]["b"]

    first, first_boot = run("100000009abcdef0")
    again, second_boot = run("100000009abcdef0")
    clone, _ = run("10000000ffffffff")
    assert first["instance"] == again["instance"] != clone["instance"]
    assert first["session"] < again["session"] < clone["session"]
    prefix = "91a48fdd" + first["instance"][:4]
    assert first_boot == prefix + "0001" and second_boot == prefix + "0002"


def test_the_will_says_offline_and_a_late_one_is_answered(edge, agent):
    watcher = listen(edge.port, f"{NODE}/status")
    process = agent(edge.port, SIMULATED)
    wait_until(lambda: payloads(watcher, "status"), "the status")
    online = payloads(watcher, "status")[-1]
    will = {key: online[key] for key in ("instance", "session")} | {"state": "offline"}
    watcher.publish(f"{NODE}/status", json.dumps(will).encode(), qos=1, retain=True)
    wait_until(lambda: [p["state"] for p in payloads(watcher, "status")][-2:] == [
        "offline", "online"], "the agent to say that it lives")
    process.signal(signal.SIGKILL)
    wait_until(lambda: payloads(watcher, "status")[-1]["state"] == "offline", "the will")
    assert payloads(watcher, "status")[-1] == will


def test_commands_are_answered_once(edge, agent):
    agent(edge.port, SIMULATED)
    # The agent subscribes before it says anything.
    said = listen(edge.port, f"{NODE}/status")
    wait_until(lambda: payloads(said, "status"), "the status")
    asker = Client(edge.port, client_id="asker", version="5")
    asker.connected()
    asker.subscribe(f"{NODE}/res/#", qos=1)

    def ask(verb, payload=b"", retain=False, id=None, **options):
        before = len(asker.messages)
        asker.publish(f"{NODE}/cmd/{verb}/{id or uuid.uuid4()}", payload, qos=1, retain=retain,
                      properties=properties("PUBLISH", **options) if options else None)
        final = {"done", "failed", "expired"}
        wait_until(lambda: any(json.loads(m.payload)["state"] in final
                               for m in list(asker.messages)[before:]), f"an answer to {verb}")
        return asker.messages[-1], json.loads(asker.messages[-1].payload)

    same = str(uuid.uuid4())
    assert ask("ping", id=same)[1]["data"]["up"] > 0
    asker.publish(f"{NODE}/cmd/ping/{same}", b"", qos=1)
    message, _ = ask("ping", ResponseTopic=f"{NODE}/res/mine", CorrelationData=b"42")
    assert message.topic == f"{NODE}/res/mine" and message.properties.CorrelationData == b"42"
    message, _ = ask("ping", ResponseTopic=f"{NODE}/status")
    assert message.topic.startswith(f"{NODE}/res/ping/")
    assert ask("ping", b'{"exp":"2001-01-01T00:00:00Z"}')[1]["state"] == "expired"
    assert "unknown verb" in ask("reboot")[1]["why"]
    assert "no JSON" in ask("ping", b'{"a":1,"a":2}')[1]["why"]
    assert "retained" in ask("ping", b"{}", retain=True)[1]["why"]
    answers = [m for m in asker.messages if m.topic.endswith(same)]
    assert [json.loads(m.payload)["state"] for m in answers] == ["accepted", "done"]


def test_mqtt_3_1_1_serves_as_well(mosquitto, start, tmp_path):
    broker = mosquitto()
    watcher = listen(broker.port)
    file = tmp_path / "agent.toml"
    file.write_text(f'site = "farm"\nnode = "barn-1"\n[broker]\nversion = "3.1.1"\n'
                    f'url = "mqtt://127.0.0.1:{broker.port}"\n{SIMULATED}')
    process = start([program("fleet-agent"), "--config", file, "--state-directory",
                     tmp_path / "state"])
    process.wait_for("connected .*mqtt=3.1.1")
    wait_until(lambda: payloads(watcher, "status"), "the status")
    watcher.publish(f"{NODE}/cmd/ping/{uuid.uuid4()}", b"", qos=1)
    wait_until(lambda: any(r["state"] == "done" for r in payloads(watcher, "res/")), "an answer")
    assert process.stop() == 0


def test_a_full_queue_is_told_and_shows_in_the_count(fleet_broker, start, tmp_path):
    port = free_port()
    log = tmp_path / "measured"
    sensors = "".join(SIMULATED.replace("attic", f"s{i}") for i in range(5))
    file = tmp_path / "agent.toml"
    file.write_text(f'site = "farm"\nnode = "barn-1"\nmeasurement_log = "{log}"\n[broker]\n'
                    f'maximum_queued_messages = 100\nurl = "mqtt://127.0.0.1:{port}"\n{sensors}')
    process = start([program("fleet-agent"), "--config", file, "--state-directory",
                     tmp_path / "state"])
    process.wait_for("the queue does not take it")
    fleet_broker(listen=f"127.0.0.1:{port}")
    watcher = listen(port)
    process.wait_for("connected broker")
    wait_until(lambda: any(p["n"] > 21 for p in payloads(watcher, "m/s0")), "fresh measurements")
    numbers = [p["n"] for p in payloads(watcher, "m/s0")]
    assert numbers == sorted(numbers) and len(numbers) < numbers[-1]
    assert process.stop() == 0


@pytest.mark.parametrize("text, place, reason", [
    ('[[sensor]]\nname = "x"\nsource = "w2"\n', ":3:", "w1"),
    ('[[sensor]]\nname = "X"\nsource = "load"\n', ":2:", "lower case"),
    ('[[sensor]]\nname = "x"\nsource = "load"\nunit = "C"\nfoo = 1\n', ":5:", "foo"),
    ('[[sensor]]\nname = "x"\nsource = "load"\nunit = "°C"\n', ":4:", "Cel"),
    ('[[sensor]]\nname = "x"\nsource = "gpio"\n', ":1:", "GPIO17"),
    ('[[sensor]]\nname = "x"\nsource = "w1"\nid = "../../etc/passwd"\n', ":4:", "1-Wire"),
    ('site = "Farm"\n', ":1:", "lower case"),
    ('[[sensor]]\nname = "x"\nsource = "load"\n[[sensor]]\nname = "x"\nsource = "load"\n',
     ":5:", "two sensors"),
])
def test_a_wrong_configuration_is_refused_with_its_place(tmp_path, text, place, reason):
    file = tmp_path / "agent.toml"
    file.write_text(text)
    done = subprocess.run([program("fleet-agent"), "--config", file, "--check-config"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 78
    assert place in done.stderr and reason in done.stderr, done.stderr


def test_the_packaged_example_is_valid(tmp_path):
    text = (ROOT / "Packaging/fleet-agent/agent.toml").read_text()
    # Also with everything that it shows switched on.
    shown = "\n".join(line[1:] if line.startswith("#") and "=" in line or line.startswith("#[[")
                      else line for line in text.splitlines())
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o640)
    shown = shown.replace("/etc/fleet/agent.password", str(password))
    for name, content in (("plain", text), ("shown", shown)):
        file = tmp_path / f"{name}.toml"
        file.write_text(content)
        done = subprocess.run([program("fleet-agent"), "--config", file, "--check-config"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
    assert 'name = "door"' in done.stdout
