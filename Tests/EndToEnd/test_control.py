"""The control socket of fleet-broker and the subcommands that speak to it."""

import base64
import json
import os
import socket
import stat
import time

import pytest

from fleetlab.processes import program, run, wait_until
from support import Client


@pytest.fixture
def connect(started):
    def connect_client(*arguments, **options):
        client = Client(*arguments, **options)
        started.append(client)
        return client.connected()
    return connect_client


def control(broker, *arguments, socket_path=None):
    where = ["--socket", socket_path] if socket_path else ["--state-directory", broker.state]
    return run([program("fleet-broker"), *arguments, *where])


def rows(broker, *arguments):
    """What a command prints with --json, each line an object."""
    done = control(broker, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def raw(broker, request, half_close=False):
    """What the socket itself answers, as bytes."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(20)
        one.connect(str(broker.state / "control.sock"))
        one.sendall(request)
        if half_close:
            one.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := one.recv(65536):
            answer += piece
        return answer


def test_clients_and_sessions(fleet_broker, connect):
    broker = fleet_broker()
    assert rows(broker, "clients") == []
    client = connect(broker.port, "here", version="5", keep_alive=33)
    client.subscribe("a/#", "b", qos=1)
    away = Client(broker.port, "away", clean=False)
    away.connected().subscribe("t", qos=1)
    away.disconnect()
    for number in range(3):
        client.publish("t", str(number).encode(), 1)
    (found,) = rows(broker, "clients")
    assert found["client"] == "here" and found["user"] is None
    assert found["address"].startswith("127.0.0.1:") and found["version"] == "5.0"
    assert (found["keep_alive"], found["subscriptions"], found["queue"]) == (33, 2, 0)
    by_client = {row["client"]: row for row in rows(broker, "sessions")}
    assert set(by_client) == {"here", "away"}
    assert (by_client["away"]["connected"], by_client["away"]["queue"]) == (False, 3)
    assert by_client["away"]["expiry_seconds"] is None
    assert by_client["here"]["expiry_seconds"] == 0

    done = control(broker, "sessions")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["CLIENT", "USER", "STATE"]
    assert {line.split()[0]: line.split()[2] for line in lines[1:]} \
        == {"here": "connected", "away": "away"}
    assert {row["filter"]: row["qos"] for row in rows(broker, "subscriptions", "here")} \
        == {"a/#": 1, "b": 1}


def test_a_queue_and_its_payloads(fleet_broker, connect):
    broker = fleet_broker()
    away = Client(broker.port, "away", clean=False)
    away.connected().subscribe("#", qos=2)
    away.disconnect()
    client = connect(broker.port, "p")
    client.publish("text", "grüße".encode(), 1)
    client.publish("bytes", b"\xff\x00", 2)
    first, second = rows(broker, "queue", "away")
    assert (first["topic"], first["qos"], first["bytes"]) == ("text", 1, 7)
    assert (second["topic"], second["qos"]) == ("bytes", 2)
    assert "payload" not in first, "payloads are shown to whom asks for them"
    first, second = rows(broker, "queue", "away", "--payload")
    assert first["payload"] == "grüße"
    assert base64.b64decode(second["payload_base64"]) == b"\xff\x00"
    done = control(broker, "queue", "nobody")
    assert done.returncode == 1 and 'no session of a client "nobody"' in done.stderr


def test_kick_ends_the_connection_and_not_the_session(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "c 1", version="3.1.1", clean=False)
    done = control(broker, "kick", "c 1")
    assert (done.returncode, done.stdout) == (0, "disconnected\n")
    client.disconnected()
    broker.process.wait_for('client disconnected client="c 1".*code=0x98.*by an operator')
    (left,) = rows(broker, "sessions")
    assert (left["client"], left["connected"]) == ("c 1", False)
    done = control(broker, "kick", "c 1")
    assert done.returncode == 1 and "is connected" in done.stderr


def test_retained_messages_are_listed_and_deleted_by_filter(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "c")
    for topic in ("a/1", "a/2", "b"):
        client.publish(topic, b"x" * 10, 1, retain=True)
    assert sorted(row["topic"] for row in rows(broker, "retained")) == ["a/1", "a/2", "b"]
    assert sorted(row["topic"] for row in rows(broker, "retained", "a/+")) == ["a/1", "a/2"]
    done = control(broker, "retained", "--delete")
    assert done.returncode == 64 and "FILTER" in done.stderr
    done = control(broker, "retained", "a/#", "--delete")
    assert done.returncode == 0 and "deleted: 2" in done.stdout
    assert [row["topic"] for row in rows(broker, "retained")] == ["b"]
    reader = connect(broker.port, "r")
    reader.subscribe("#")
    assert reader.received(1) == [b"x" * 10]
    done = control(broker, "retained", "a/#/b")
    assert done.returncode == 64 and "topic filter" in done.stderr


def test_long_lists_come_whole_while_clients_are_served(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "c")
    client.subscribe("t")
    count = 5_000
    for number in range(count):
        client.client.publish(f"r/{number}", b"x", 0, True)
    client.publish("last", b"", 1)
    with socket.socket(socket.AF_UNIX) as lazy:
        # Who asks and does not read costs nobody anything.
        lazy.connect(str(broker.state / "control.sock"))
        lazy.sendall(b'{"command":"retained"}\n')
        found = rows(broker, "retained")
        assert len({row["topic"] for row in found}) == count
        client.publish("t", b"served")
        client.received(1)


def test_log_level_changes_at_once(fleet_broker, connect):
    broker = fleet_broker()
    done = control(broker, "log-level", "warning")
    assert done.returncode == 0
    connect(broker.port, "unseen")
    assert control(broker, "log-level", "info").returncode == 0
    connect(broker.port, "seen")
    broker.process.wait_for("client connected client=seen")
    assert "client=unseen" not in broker.process.output
    done = control(broker, "log-level", "loud")
    assert done.returncode == 64 and "notice" in done.stderr


def test_status_for_people_and_programs(fleet_broker, connect):
    broker = fleet_broker()
    connect(broker.port, "c")
    (found,) = rows(broker, "status")
    assert (found["clients"], found["sessions"], found["store"]) == (1, 1, found["store"])
    assert any(str(broker.port) in listener["address"] for listener in found["listeners"])
    done = control(broker, "status")
    lines = dict(line.split(None, 1) for line in done.stdout.splitlines() if len(line.split()) > 1)
    assert lines["clients"] == "1"


def test_reload_says_where_the_fault_is_and_the_old_configuration_stays(fleet_broker, connect):
    broker = fleet_broker('[log]\nlevel = "info"\n')
    done = control(broker, "reload")
    assert (done.returncode, done.stdout) == (0, "configuration reloaded\n")
    broker.file.write_text('[log]\nlevel = "info"\nlevle = "x"\n')
    done = control(broker, "reload")
    assert done.returncode == 78
    assert f"{broker.file}:3:1" in done.stderr and "log.levle" in done.stderr
    broker.process.wait_for("the old one stays")
    connect(broker.port, "still")


def test_reload_says_what_waits_for_the_next_start(fleet_broker):
    broker = fleet_broker("threads = 1\n")
    started = broker.file.read_text()
    broker.file.write_text(started.replace("threads = 1", "threads = 2")
                           + '[http]\naddress = "127.0.0.1:0"\n[limits]\nsessions = 9\n')
    for _ in range(2):
        done = control(broker, "reload")
        assert done.returncode == 0
        assert done.stdout == "configuration reloaded\nwaits for the next start: threads, http\n"
    broker.file.write_text(started)
    done = control(broker, "reload")
    assert done.stdout == "configuration reloaded\n"


def test_without_a_broker_the_error_says_where_was_looked(tmp_path):
    done = run([program("fleet-broker"), "clients", "--state-directory", tmp_path])
    assert done.returncode == 69 and done.stdout == ""
    assert f"no fleet-broker answers at {tmp_path}/control.sock" in done.stderr
    assert "--state-directory" in done.stderr
    # The socket of a process that was killed.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    done = run([program("fleet-broker"), "clients", "--socket", tmp_path / "control.sock"])
    assert done.returncode == 69 and "no fleet-broker answers" in done.stderr


def test_the_socket_is_the_groups_and_goes_with_the_broker(fleet_broker, tmp_path):
    path = tmp_path / "own.sock"
    broker = fleet_broker(f'[control]\nsocket = "{path}"\n')
    # It listens for clients first.
    wait_until(lambda: path.exists() and stat.S_IMODE(os.stat(path).st_mode) == 0o660, "the socket")
    assert control(broker, "clients", socket_path=path).returncode == 0
    broker.stop()
    assert not path.exists()
    killed = fleet_broker()
    wait_until(lambda: (killed.state / "control.sock").exists(), "the socket")
    killed.kill()
    assert (killed.state / "control.sock").exists()
    killed.start()
    assert control(killed, "clients").returncode == 0


def test_strangers_at_the_control_socket_are_answered_with_an_error(fleet_broker, connect):
    broker = fleet_broker()
    for request in (b"\n", b"nonsense\n", b"[]\n", b"{}\n", b'{"command":7}\n',
                    b'{"command":"dance"}\n', b'{"command":"kick"}\n', os.urandom(64) + b"\n",
                    b"x" * 70_000):
        answer = json.loads(raw(broker, request))
        assert answer["error"]["code"] in (64, 65), request[:20]
        assert answer["error"]["message"]
    assert b"clients, kick" in raw(broker, b'{"command":"dance"}\n')
    # A client that has ended its direction still gets its answer, as with nc -N.
    assert json.loads(raw(broker, b'{"command":"clients"}\n', half_close=True)) == {"result": {}}
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    for one in crowd:
        one.connect(str(broker.state / "control.sock"))
    time.sleep(0.2)
    for one in crowd:
        one.close()
    wait_until(lambda: control(broker, "clients").returncode == 0, "room again")
    connect(broker.port, "c")
