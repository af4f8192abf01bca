"""What fleet-broker tells of itself: $SYS, HTTP, service/broker, the log, and systemd."""

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request

import jsonschema
import pytest

from fleetlab.brokers import fleet_password_file
from fleetlab.processes import ROOT, program, run, system_program, wait_until
from support import Client, mosquitto_pub, mosquitto_sub

VERSION = re.search(r'current = "([^"]+)"',
                    (ROOT / "Sources/FleetModel/Version.swift").read_text()).group(1)
SERVICE_SCHEMA = json.loads((ROOT / "docs/reference/schemas/service.json").read_text())
EVERY_SECOND = '[observe]\nsys_interval = "1s"\nservice_interval = "1s"\n'
HTTP = '[http]\naddress = "127.0.0.1:0"\n'


@pytest.fixture
def connect(started):
    def connect_client(*arguments, **options):
        client = Client(*arguments, **options)
        started.append(client)
        return client.connected()
    return connect_client


def values(client):
    """The last value of each topic."""
    return {m.topic: m.payload.decode() for m in list(client.messages)}


# --- $SYS ---------------------------------------------------------------------------------------

def system_names(port, started):
    """The topics below $SYS/broker that a broker has, once it has said them all."""
    client = Client(port, f"names-{port}")
    started.append(client)
    client.connected().subscribe("$SYS/#")
    seen = 0
    while seen != len(values(client)) or seen == 0:
        seen = len(values(client))
        time.sleep(1.5)
    return set(values(client))


def test_every_name_that_mosquitto_has_below_sys_is_here(fleet_broker, mosquitto, started):
    ours = system_names(fleet_broker(EVERY_SECOND).port, started)
    theirs = system_names(
        mosquitto("allow_anonymous true\nsys_interval 1\n").port, started)
    assert len(theirs) > 40
    assert theirs - ours == set()


def test_sys_tells_what_happens(fleet_broker, connect):
    broker = fleet_broker(EVERY_SECOND)
    watcher = connect(broker.port, "watcher")
    watcher.subscribe("$SYS/broker/#")
    away = Client(broker.port, "away", clean=False)
    away.connected().subscribe("t", qos=1)
    away.disconnect()
    publisher = connect(broker.port, "publisher")
    for _ in range(3):
        publisher.publish("t", b"12345", 1)
    publisher.publish("kept", b"x", 1, retain=True)

    def settled():
        now = values(watcher)
        return now.get("$SYS/broker/queue/messages") == "3" \
            and now.get("$SYS/broker/publish/messages/received") == "4"
    wait_until(settled, "the figures")
    wait_until(lambda: float(values(watcher)["$SYS/broker/load/publish/received/1min"]) > 0,
               "a load")
    now = {topic.removeprefix("$SYS/broker/"): value for topic, value in values(watcher).items()}
    assert now["version"] == f"fleet-broker version {VERSION}"
    assert re.fullmatch(r"\d+ seconds", now["uptime"])
    assert (now["clients/connected"], now["clients/disconnected"], now["clients/total"]) \
        == ("2", "1", "3")
    assert now["publish/bytes/received"] == "16"
    assert now["retained messages/count"] == "1"
    assert now["subscriptions/count"] == "2"
    assert int(now["store/messages/count"]) >= 4
    assert int(now["bytes/received"]) > 50 and int(now["bytes/sent"]) > 50
    assert int(now["heap/current"]) > 100_000
    assert re.fullmatch(r"\d+\.\d\d", now["load/messages/received/15min"])


def test_sys_is_retained_and_nobody_else_may_write_it(fleet_broker, connect):
    broker = fleet_broker()
    for version in ("3.1.1", "5"):
        mosquitto_pub(broker.port, "-t", "$SYS/broker/version", "-m", "forged", "-r",
                      version=version)
    client = connect(broker.port, "late")
    client.subscribe("$SYS/broker/version", "#")
    client.received(1)
    assert client.messages[0].retain
    assert client.messages[0].payload.decode() == f"fleet-broker version {VERSION}"
    assert len(client.messages) == 1, "a filter that begins with a wildcard does not see $SYS"


def test_mosquitto_sub_and_an_interval_of_nothing(fleet_broker, started):
    broker = fleet_broker(EVERY_SECOND)
    subscriber = mosquitto_sub(broker.port, "-t", "$SYS/broker/uptime", "-v")
    started.append(subscriber)
    subscriber.wait_for(r"^\$SYS/broker/uptime [2-9] seconds$")
    silent = fleet_broker('[observe]\nsys_interval = "0s"\n')
    done = run([system_program("mosquitto_sub"), "-p", silent.port, "-t", "$SYS/#", "-W", "1"])
    assert done.stdout == ""


# --- HTTP ---------------------------------------------------------------------------------------

def http_port(broker):
    found = broker.process.wait_for(r"listening for HTTP address=\S+:(\d+)")
    return int(found.group(1))


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


LABELS = r'\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\}'
SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)({LABELS})? (\S+)")


def parse_metrics(text):
    """The text format 0.0.4, strictly: {name with labels: value}; every family with HELP and TYPE."""
    assert text.endswith("\n")
    types, helped, found, family = {}, set(), {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help_text = line[7:].split(" ", 1)
            assert help_text and name not in helped, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert kind in ("counter", "gauge") and name in helped and name not in types, line
            assert (kind == "counter") == name.endswith("_total"), line
            types[name] = kind
            family = name
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            name, labels, value = sample.group(1), sample.group(2) or "", float(sample.group(4))
            assert name == family, f"{line}: not below its TYPE"
            assert name + labels not in found, f"twice: {line}"
            assert types[name] == "gauge" or value >= 0, line
            found[name + labels] = value
    assert set(types) == helped
    return found


def test_metrics_are_what_prometheus_reads(fleet_broker, connect):
    broker = fleet_broker(HTTP)
    port = http_port(broker)
    connect(broker.port, "old", version="3.1")
    new = connect(broker.port, "new", version="5")
    new.subscribe("t", qos=1)
    new.publish("t", b"12345", 1)
    status, headers, text = get(port, "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    metrics = parse_metrics(text)
    assert metrics['fleet_broker_clients{version="3.1"}'] == 1
    assert metrics['fleet_broker_clients{version="5.0"}'] == 1
    assert metrics["fleet_broker_received_publishes_total"] == 1
    assert metrics["fleet_broker_received_publish_payload_bytes_total"] == 5
    assert metrics["fleet_broker_subscriptions"] == 1
    assert metrics[f'fleet_broker_info{{version="{VERSION}"}}'] == 1
    assert metrics['fleet_broker_dropped_messages_total{reason="queue_full"}'] == 0
    listener = [v for k, v in metrics.items()
                if k.startswith("fleet_broker_listener_accepted_total{")
                and f":{broker.port}\"" in k]
    assert listener == [2]
    assert metrics["process_resident_memory_bytes"] > 1_000_000
    assert metrics["process_cpu_seconds_total"] >= 0
    assert abs(metrics["process_start_time_seconds"] - time.time()) < 600


def test_counters_never_go_down_and_follow_what_is_sent(fleet_broker, connect):
    broker = fleet_broker(HTTP)
    port = http_port(broker)
    client = connect(broker.port, "c")
    before = parse_metrics(get(port, "/metrics")[2])
    for _ in range(20):
        client.publish("t", b"x", 1)
    time.sleep(0.3)  # figures so young are given again
    after = parse_metrics(get(port, "/metrics")[2])
    assert after["fleet_broker_received_publishes_total"] == 20
    for name, value in before.items():
        if "_total" in name:
            assert after[name] >= value, name


def test_health_readiness_and_what_there_is_not(fleet_broker):
    port = http_port(fleet_broker(HTTP))
    assert get(port, "/healthz")[::2] == (200, "ok\n")
    assert get(port, "/readyz")[::2] == (200, "ready\n")
    status, _, text = get(port, "/nowhere")
    assert status == 404 and "/metrics" in text
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert int(answer.headers["Content-Length"]) > 1000 and answer.read() == b""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code in (405, 413)


def test_strangers_at_the_http_port_harm_nobody(fleet_broker, connect):
    broker = fleet_broker(HTTP + "connections = 3\nrequest_time = \"1s\"\n")
    port = http_port(broker)
    client = connect(broker.port, "c")
    client.subscribe("t")
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    for one in slow:
        one.sendall(b"GET /metr")
    assert get(port, "/metrics")[0] == 503
    for one in slow:
        assert b" 408 " in one.recv(4096)
        one.close()
    wait_until(lambda: get(port, "/healthz")[0] == 200, "room for another connection")
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(os.urandom(64) + b"\r\n\r\n")
        assert stranger.recv(4096).startswith(b"HTTP/1.1 ")
    client.publish("t", b"still here")
    client.received(1)


def test_no_http_without_being_asked(fleet_broker):
    assert "HTTP" not in fleet_broker().process.output


# --- service/broker -----------------------------------------------------------------------------

FLEET = '[fleet]\nsite = "farm"\nnode = "gateway"\n'
TOPIC = "fleet/v1/farm/gateway/service/broker"


def test_the_broker_says_by_the_fleet_protocol_how_it_does(fleet_broker, connect):
    broker = fleet_broker(FLEET + EVERY_SECOND)
    client = connect(broker.port, "c")
    client.subscribe("fleet/#", qos=1)
    client.received(1)
    assert (client.messages[0].topic, client.messages[0].retain) == (TOPIC, True)

    def said():
        return json.loads(client.messages[-1].payload)
    wait_until(lambda: said()["counters"]["connections"] == 1, "the client to be counted")
    jsonschema.validate(said(), SERVICE_SCHEMA)
    assert said()["state"] == "online" and said()["version"] == VERSION
    assert said()["counters"]["dropped"]["queue_full"] == 0
    done = run([program("fleet"), "status", "--broker", f"mqtt://127.0.0.1:{broker.port}"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "gateway" in done.stdout and "online" in done.stdout

    broker.process.signal(signal.SIGTERM)
    wait_until(lambda: said()["state"] == "offline", "the broker to say that it goes")
    jsonschema.validate(said(), SERVICE_SCHEMA)
    broker.process.wait()


def test_fleet_status_shows_what_is_wrong_with_a_brokers_store(fleet_broker):
    broker = fleet_broker("[fleet]\nservice = false\n")
    payload = json.dumps({"state": "online", "counters": {
        "store": "quarantined", "stores_quarantined": 1}})
    mosquitto_pub(broker.port, "-t", TOPIC, "-m", payload, "-r", "-q", "1")
    done = run([program("fleet"), "status", "-o", "wide", "--broker",
                f"mqtt://127.0.0.1:{broker.port}"])
    assert done.returncode == 1
    assert "farm/gateway: broker: a damaged store was put aside" in done.stderr
    assert "broker(quarantined)" in done.stdout


def test_a_store_found_damaged_at_the_start_is_seen_everywhere(fleet_broker, connect):
    broker = fleet_broker(FLEET + HTTP + EVERY_SECOND)
    connect(broker.port, "c").publish("kept", b"x", 1, retain=True)
    broker.stop()
    (store,) = broker.state.glob("*.db")
    store.write_bytes(b"no database" * 1000)
    broker.start()
    client = connect(broker.port, "watcher")
    client.subscribe("$SYS/broker/store/#", TOPIC)
    wait_until(lambda: len(client.messages) >= 3, "what is retained")
    now = values(client)
    assert now["$SYS/broker/store/state"] == "quarantined"
    assert now["$SYS/broker/store/quarantined"] == "1"
    assert json.loads(now[TOPIC])["counters"]["store"] == "quarantined"
    metrics = parse_metrics(get(http_port(broker), "/metrics")[2])
    assert metrics['fleet_broker_store_state{state="quarantined"}'] == 1
    assert metrics["fleet_broker_store_quarantined"] == 1
    assert get(http_port(broker), "/readyz")[0] == 200, "it serves"
    done = run([program("fleet"), "status", "--broker", f"mqtt://127.0.0.1:{broker.port}"])
    assert done.returncode == 1 and "a damaged store was put aside" in done.stderr


def test_commits_and_bytes_written_are_counted(fleet_broker, connect):
    broker = fleet_broker(HTTP)
    port = http_port(broker)
    connect(broker.port, "c").publish("kept", b"x", 1, retain=True)

    def written():
        time.sleep(0.3)
        metrics = parse_metrics(get(port, "/metrics")[2])
        return metrics.get("fleet_broker_store_commits_total", 0) > 0 and metrics
    metrics = wait_until(written, "a commit")
    assert metrics["fleet_broker_store_written_bytes_total"] > 0
    assert metrics["fleet_broker_store_file_bytes"] > 0
    assert 0 < metrics["fleet_broker_store_commit_seconds"] < 20
    assert metrics['fleet_broker_store_state{state="ok"}'] == 1


def test_an_idle_broker_says_nothing_twice(fleet_broker, connect):
    broker = fleet_broker(FLEET + EVERY_SECOND)
    client = connect(broker.port, "c")
    client.subscribe(TOPIC)
    wait_until(lambda: client.messages
               and json.loads(client.messages[-1].payload)["counters"]["connections"] == 1,
               "the client to be counted")
    count = len(client.messages)
    time.sleep(3)
    assert len(client.messages) == count


# --- log ----------------------------------------------------------------------------------------

def json_lines(broker):
    return [json.loads(line) for line in broker.process.output.splitlines()]


def test_every_line_is_json_whatever_a_client_is_called(fleet_broker, connect):
    broker = fleet_broker('[log]\nformat = "json"\nlevel = "debug"\n')
    names = ['quote"back\\slash', "line", "tab\u0009", "\u202eevil", "é" * 200, "\U0001F600",
             "{}", "a=b c"]
    for name in names:
        # paho refuses no name; the broker may refuse one with a control character.
        client = Client(broker.port, name, version="5")
        client.wait(lambda: client.connection or client.disconnection, "an answer")
        client.stop()
    with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
        stranger.sendall(os.urandom(100))
        stranger.settimeout(10)
        try:
            while stranger.recv(100):
                pass
        except ConnectionResetError:
            pass
    wait_until(lambda: any(line["message"] == "connection refused" for line in json_lines(broker)),
               "the stranger's line")
    broker.stop()
    lines = json_lines(broker)
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    connected = [line["client"] for line in lines if line["message"] == "client connected"]
    assert set(connected) >= {n for n in names if "\t" not in n}
    assert isinstance(next(line for line in lines if line["message"] == "client connected")
                      ["keep_alive"], int)


def test_every_end_names_client_address_user_code_and_reason(fleet_broker, tmp_path, started):
    users = fleet_password_file(tmp_path / "users", {"alice": "secret-of-alice"})
    broker = fleet_broker(
        f'[log]\nformat = "json"\n[authentication]\npassword_file = "{users}"\n')
    good = Client(broker.port, "good", user="alice", password="secret-of-alice").connected()
    good.publish("t", b"payload-of-alice", 1)
    good.disconnect()
    vanished = Client(broker.port, "vanished", user="alice", password="secret-of-alice")
    vanished.connected().vanish()
    Client(broker.port, "bad", user="mallory", password="guess").refused()
    first = Client(broker.port, "twice", user="alice", password="secret-of-alice").connected()
    second = Client(broker.port, "twice", user="alice", password="secret-of-alice").connected()
    started.append(second)
    first.disconnected()

    def ends():
        return {(line["client"], line["message"]): line for line in json_lines(broker)
                if line["message"] in ("client disconnected", "connection refused")}
    wait_until(lambda: len(ends()) == 4, "four ends")
    for line in ends().values():
        assert re.fullmatch(r"127\.0\.0\.1:\d+", line["address"])
        assert line["reason"] and line["user"] in ("alice", "mallory")
    found = {client: line["code"] for (client, _), line in ends().items()}
    assert found == {"good": "0x00", "vanished": "-", "bad": "0x86", "twice": "0x8E"}
    for secret in ("secret-of-alice", "payload-of-alice", "guess"):
        assert secret not in broker.process.output


def test_a_flood_of_lines_is_cut_to_what_is_configured(fleet_broker):
    broker = fleet_broker('[log]\nlines_per_second = 5\n')
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
            stranger.sendall(b"nonsense")
            stranger.recv(10)
    broker.stop()
    lines = broker.process.output.splitlines()
    refused = sum("connection refused" in line for line in lines)
    left_out = sum(int(n) for n in re.findall(r"log lines left out count=(\d+)", broker.process.output))
    assert refused + left_out == 60
    assert left_out > 0


# --- systemd ------------------------------------------------------------------------------------

class Systemd:
    """The datagram socket of a service manager; what came, with its time."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.messages = []

    def wait_for(self, text, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            message = self.socket.recv(4096).decode()
            self.messages.append(message)
            if text in message:
                return message

    def close(self):
        self.socket.close()


def test_systemd_hears_of_start_reload_status_watchdog_and_end(
        tmp_path, fleet_broker, started, connect):
    systemd = Systemd(tmp_path / "notify")
    started.append(systemd)
    broker = fleet_broker(EVERY_SECOND, environment={
        "NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "400000"})
    systemd.wait_for("READY=1")
    # It serves when it says so.
    connect(broker.port, "c")
    systemd.wait_for("STATUS=serving 1 clients")
    begun = time.monotonic()
    for _ in range(10):
        systemd.wait_for("WATCHDOG=1")
    assert 1.0 < time.monotonic() - begun < 8

    broker.process.signal(signal.SIGHUP)
    reloading = systemd.wait_for("RELOADING=1")
    assert int(re.search(r"MONOTONIC_USEC=(\d+)", reloading).group(1)) \
        <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    systemd.wait_for("READY=1")
    broker.process.signal(signal.SIGTERM)
    systemd.wait_for("STOPPING=1")
    assert broker.process.wait() == 0
