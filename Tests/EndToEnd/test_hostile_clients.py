"""Floods, and clients that ask for what is not theirs; named after the lines of the threat list."""

import os
import re
import resource
import signal
import socket
import time

import pytest

from fleetlab.brokers import fleet_password_file
from fleetlab.processes import wait_until
from mqtt_wire import PING, Wire, connect
from support import Client, mosquitto_sub, resident_kilobytes, round_trip

def read_exactly(connection, count, seconds=20):
    connection.settimeout(seconds)
    got = b""
    while len(got) < count:
        chunk = connection.recv(count - len(got))
        if not chunk:
            break
        got += chunk
    return got


@pytest.fixture
def guarded(fleet_broker, tmp_path):
    """guarded(limits="") -> (broker, users): alice and bob have passwords, nobody else gets in."""
    def start(limits=""):
        users = fleet_password_file(tmp_path / "users", {"alice": "a-secret", "bob": "b-secret"})
        return fleet_broker(
            f'[authentication]\npassword_file = "{users}"\n[limits]\n{limits}\n'), users
    return start


def test_a_flood_of_wrong_passwords_keeps_nobody_else_out(guarded):
    broker, _ = guarded("password_checks = 8")
    alice = Client(broker.port, "alice", user="alice", password="a-secret").connected()
    flood = []
    for number in range(60):
        stranger = socket.create_connection(("127.0.0.1", broker.port))
        stranger.sendall(connect(b"f%d" % number, user=b"alice", password=b"wrong"))
        flood.append(stranger)
    # Somebody whose password was never checked, from elsewhere: half of the places are not the flood's.
    with socket.create_connection(("127.0.0.1", broker.port), source_address=("127.0.0.2", 0)) as bob:
        bob.sendall(connect(b"bob", user=b"bob", password=b"b-secret"))
        assert read_exactly(bob, 4) == b"\x20\x02\x00\x00"
    alice.subscribe("x", qos=1)
    alice.publish("x", b"still here", 1)
    assert alice.received(1) == [b"still here"]
    # One whose password was right before waits for no check.
    Client(broker.port, "again", user="alice", password="a-secret").connected().disconnect()
    codes = [read_exactly(stranger, 4)[3] for stranger in flood]
    assert set(codes) == {3, 4}, "busy or wrong, and nothing else"
    assert codes.count(4) < 30
    for stranger in flood:
        stranger.close()
    alice.disconnect()


def test_an_unknown_user_takes_as_long_as_a_wrong_password(guarded):
    broker, _ = guarded()

    def seconds(user):
        with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
            begin = time.monotonic()
            stranger.sendall(connect(b"s", user=user, password=b"wrong"))
            assert read_exactly(stranger, 4)[3] == 4
            return time.monotonic() - begin
    # In turns, so that what else the machine does falls on both.
    known, unknown = zip(*[(seconds(b"alice"), seconds(b"mallory")) for _ in range(7)])
    assert min(unknown) > min(known) / 2


def test_taking_over_another_users_session_by_its_client_id(guarded):
    broker, _ = guarded()
    alice = Client(broker.port, "pump", user="alice", password="a-secret", clean=False).connected()
    alice.subscribe("orders", qos=1)
    for clean in (False, True):
        thief = Client(broker.port, "pump", user="bob", password="b-secret", clean=clean)
        assert "Not authorized" in str(thief.refused())
        thief.client.loop_stop()
    alice.publish("orders", b"mine", 1)
    assert alice.received(1) == [b"mine"]
    alice.disconnect()


def test_a_reload_with_a_bad_file_keeps_the_old_rules_and_says_so(guarded):
    broker, users = guarded()
    good = users.read_text()
    users.write_text(good + "mallory\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for(r"users:3: ")
    broker.process.wait_for("configuration not reloaded; the old one stays")
    assert "configuration reloaded" not in broker.process.output
    Client(broker.port, "a", user="alice", password="a-secret").connected().disconnect()
    refused = Client(broker.port, "m", user="mallory", password="")
    refused.refused()
    refused.client.loop_stop()
    users.write_text(good.splitlines()[1] + "\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    gone = Client(broker.port, "a", user="alice", password="a-secret")
    gone.refused()
    gone.client.loop_stop()


def test_an_empty_password_file_is_closed_not_open(guarded):
    broker, users = guarded()
    users.write_text("# nobody\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    for login in ({}, {"user": "alice", "password": "a-secret"}):
        refused = Client(broker.port, "x", **login)
        refused.refused()
        refused.client.loop_stop()


def test_a_handshake_that_stalls(fleet_broker, server_keys, authority):
    certificate, key = server_keys
    broker = fleet_broker(
        '[limits]\ntime_to_connect = "1s"\n[[listener]]\naddress = "127.0.0.1:0"\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n', listen=None)
    stalled = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(50)]
    for connection in stalled:
        # The first half of a ClientHello.
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    round_trip(broker.port, host="localhost", ca_file=authority.certificate)
    for connection in stalled:
        connection.settimeout(20)
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
        connection.close()


def test_the_last_file_descriptor(fleet_broker):
    broker = fleet_broker()
    old = Client(broker.port, "old").connected()
    old.subscribe("old", qos=1)
    held = len(os.listdir(f"/proc/{broker.process.pid}/fd"))
    resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (held + 20, held + 20))
    strangers = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(60)]
    broker.process.wait_for("cannot accept")
    # Who is there is served, and who comes is told at once.
    old.publish("old", b"served", 1)
    assert old.received(1) == [b"served"]
    assert read_exactly(strangers[-1], 1) == b""
    for stranger in strangers:
        stranger.close()
    wait_until(lambda: len(os.listdir(f"/proc/{broker.process.pid}/fd")) <= held + 1,
               "the strangers' descriptors to be closed")
    round_trip(broker.port)
    old.disconnect()


def test_the_limit_of_descriptors_is_raised_to_fit_the_connections(fleet_broker):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    broker = fleet_broker("[limits]\nconnections = 3000\n")
    soft = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)[0]
    assert soft >= min(3064, hard)


def test_a_flood_of_log_lines(fleet_broker):
    broker = fleet_broker()
    for _ in range(1500):
        with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    round_trip(broker.port)
    broker.stop()
    assert "log lines left out" in broker.process.output
    assert len(broker.process.output.splitlines()) < 1000


def test_a_client_id_forges_no_log_line(fleet_broker):
    broker = fleet_broker()
    with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
        stranger.sendall(connect(b"a\n2025-01-01 error forged\x1b[31m"))
        assert read_exactly(stranger, 4) == b"\x20\x02\x00\x00"
    broker.process.wait_for("client disconnected")
    lines = [line for line in broker.process.output.splitlines() if "forged" in line]
    assert lines and all("client " in line and "\x1b" not in line for line in lines)


def test_what_was_refused_is_named_and_forges_no_log_line(fleet_broker):
    broker = fleet_broker('[role.some]\neverybody = true\npublish = ["a"]\nsubscribe = ["a"]\n')
    wire = Wire(broker.port, "5")
    wire.connect("c")
    evil = "own/\n2025-01-01 error forged\x1b[31m \u202e"
    wire.publish(evil, b"x", 1)
    wire.subscribe(evil + "/#")
    wire.publish("ü" * 5_000, b"x", 1)
    wire.publish("$SYS/broker/version", b"x", 1)
    wire.sync()
    broker.process.wait_for('publish refused client=c .*topic=\\$SYS/broker/version ')
    lines = broker.process.output.splitlines()
    forged = [line for line in lines if "forged" in line]
    assert len(forged) == 2
    assert re.search(r'publish refused client=c .*topic="own/\\n2025-01-01 error forged', forged[0])
    assert re.search(r'subscription refused client=c .*filter="own/\\n2025.*/#"', forged[1])
    assert not any(mark in line for line in lines for mark in ("\x1b", "\u202e"))
    long = next(line for line in lines if "üü" in line)
    assert "ü" * 100 + "... " in long and len(long) < 400


def test_a_client_that_never_reads_its_answers_is_not_listened_to(fleet_broker):
    broker = fleet_broker('[limits]\noutput_size = "64KiB"\n')
    before = resident_kilobytes(broker.process)
    with socket.create_connection(("127.0.0.1", broker.port)) as stranger:
        stranger.sendall(connect(b"deaf"))
        # An answer for each, which nobody reads: at some point no more is taken.
        stranger.settimeout(2)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                sent += stranger.send(PING * 65_536)
        assert sent < 64 << 20
        round_trip(broker.port)
        assert resident_kilobytes(broker.process) - before < 8 * 1024


def test_a_client_without_a_keep_alive_that_vanishes_is_looked_for(fleet_broker):
    broker = fleet_broker()
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(connect(b"x", keep_alive=0))
        read_exactly(client, 4)
        local, remote = (f"0100007F:{port:04X}" for port in (broker.port, client.getsockname()[1]))
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table]
        row = next(row for row in rows if row[1:3] == [local, remote])
        assert row[5].startswith("02:"), "the kernel's keep-alive timer runs"


def test_a_connect_flood_that_takes_one_session_over(fleet_broker):
    broker = fleet_broker()
    connections = []
    for _ in range(300):
        connection = socket.create_connection(("127.0.0.1", broker.port))
        connection.sendall(connect(b"same", clean=False))
        connections.append(connection)
    assert read_exactly(connections[-1], 4)[3] == 0
    round_trip(broker.port)
    for connection in connections[:-1]:
        connection.settimeout(20)
        try:
            while connection.recv(64):
                pass
        except ConnectionResetError:
            pass
    connections[-1].sendall(PING)
    assert read_exactly(connections[-1], 2) == b"\xd0\x00"
    for connection in connections:
        connection.close()


def test_writing_sys_and_a_will_there(fleet_broker):
    broker = fleet_broker()
    listener = mosquitto_sub(broker.port, "-t", "$SYS/#", "-t", "done", "-v")
    client = Client(broker.port, "w").connected()
    client.publish("$SYS/broker/version", b"forged", 1, True)
    client.publish("done", b"", 1)
    listener.wait_for("^done")
    assert "forged" not in listener.output
    client.disconnect()
    listener.stop()
    refused = Client(broker.port, "w", will={"topic": "$SYS/x", "payload": b"forged"})
    refused.refused()
    refused.client.loop_stop()
