"""`fleet-broker import`: what a Mosquitto let its clients do, ours lets them do afterwards."""

import subprocess

import pytest

from fleetlab.brokers import mosquitto_password_file
from fleetlab.processes import program
from support import Client


def imported(file, *arguments):
    return subprocess.run([program("fleet-broker"), "import", str(file), *map(str, arguments)],
                          capture_output=True, text=True, timeout=60)


def checked(configuration, missing=None):
    """What --check-config prints; of the files that it names, `missing` may not be there."""
    done = subprocess.run([program("fleet-broker"), "--config", configuration, "--check-config"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == (78 if missing else 0), done.stderr
    assert (missing or "") in done.stderr
    return done.stdout


ACL = """# what sensors may
topic read public/#
user alice
topic readwrite home/alice/#
topic deny home/alice/secret
topic write log
topic spaced topic/x
user bob
topic read #
pattern write sensor/%c/data
pattern read sensor/%u/+
pattern read sensor-%u/x
topic write $SYS/broker/x
"""


@pytest.fixture
def folder(tmp_path):
    """A Mosquitto's folder: configuration, users and rules."""
    mosquitto_password_file(tmp_path / "passwd", {"alice": "a-secret", "bob": "b-secret"})
    (tmp_path / "acl").write_text(ACL)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "limits.conf").write_text(
        "max_inflight_messages 30\nmax_queued_messages 500\nmessage_size_limit 100000\n"
        "max_keepalive 600\nretain_available false\n")
    (tmp_path / "mosquitto.conf").write_text(
        f"# a comment\npid_file /run/mosquitto.pid\nlistener 18831 127.0.0.1\n"
        f"allow_anonymous true\npassword_file {tmp_path}/passwd\nacl_file {tmp_path}/acl\n"
        f"persistence true\npersistent_client_expiration 2w\nmax_qos 1\nfrobnicate 3\n"
        f"connection cloud\naddress cloud.example:8883\ntopic # out 1\n"
        f"include_dir {tmp_path}/conf.d\n")
    return tmp_path


def test_users_rules_and_limits_are_taken_over(folder, fleet_broker):
    done = imported(folder / "mosquitto.conf", "--output", folder / "fleet")
    assert done.returncode == 0, done.stderr
    users = folder / "fleet" / "broker.users"
    assert users.stat().st_mode & 0o777 == 0o640
    effective = checked(folder / "fleet" / "broker.toml")
    for line in ["in_flight = 30", "queue_messages = 500", "packet_size = 104096",
                 'maximum_keep_alive = "600s"', 'expiry_before_5 = "14d"',
                 'address = "127.0.0.1:18831"', "allow_anonymous = true",
                 "maximum_qos = 1", "retain_available = false"]:
        assert line in effective, line
    text = (folder / "fleet" / "broker.toml").read_text().replace("broker.users", str(users))
    broker = fleet_broker(text.replace(":18831", ":0"), listen=None)
    alice = Client(broker.port, "a1", "5", user="alice", password="a-secret").connected()
    bob = Client(broker.port, "b1", "5", user="bob", password="b-secret").connected()
    anonymous = Client(broker.port, "n1", "5").connected()
    bob.subscribe("#", qos=1)
    assert "Not authorized" in str(alice.publish("home/bob/x", b"", 1))
    assert "Not authorized" in str(alice.publish("home/alice/secret", b"", 1))
    assert "Not authorized" in str(bob.publish("home/alice/x", b"", 1))
    assert "Not authorized" in str(anonymous.publish("public/x", b"", 1))
    assert alice.subscribe("public/#")[0].is_failure
    assert not anonymous.subscribe("public/#")[0].is_failure
    assert not alice.subscribe("sensor/alice/+", "home/alice/#")[0].is_failure
    for client, topic in [(alice, "home/alice/x"), (alice, "log"), (alice, "spaced topic/x"),
                          (alice, "sensor/a1/data"), (anonymous, "sensor/n1/data")]:
        assert not client.publish(topic, topic.encode(), 1).is_failure
    assert bob.received(5)[:2] == [b"home/alice/x", b"log"]
    assert users.read_text().count("SCRAM-SHA-256") == 2
    for client in (alice, bob, anonymous):
        client.disconnect()


def test_lines_may_end_as_on_windows(folder):
    """What is taken over is the same, with "\\r\\n" in every file."""
    plain = imported(folder / "mosquitto.conf").stdout
    for file in [*folder.glob("*.conf"), folder / "acl", *folder.glob("conf.d/*")]:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert imported(folder / "mosquitto.conf").stdout == plain


def test_what_has_no_counterpart_is_listed_with_its_place(folder):
    done = imported(folder / "mosquitto.conf")
    conf, acl = folder / "mosquitto.conf", folder / "acl"
    for note in [f"{conf}:2: pid_file: not needed", f"{conf}:10: frobnicate: no counterpart",
                 f'{conf}:11: connection: a bridge: set up fleet-bridge for "cloud"',
                 f"{acl}:12: pattern: not taken over", f"{acl}:13: topic: not taken over"]:
        assert note in done.stderr, f"{note}\n{done.stderr}"
    assert "cloud.example" not in done.stdout + done.stderr
    assert "include_dir" not in done.stderr and "persistence" not in done.stderr
    assert "secret" not in done.stderr


def test_a_denial_that_cannot_be_taken_over_stands_out(tmp_path):
    (tmp_path / "acl").write_text("user a\ntopic #\npattern deny private-%u/#\n")
    (tmp_path / "m.conf").write_text(f"listener 1883\nallow_anonymous true\nacl_file {tmp_path}/acl\n")
    assert "acl:3: pattern: NOT DENIED ANY MORE" in imported(tmp_path / "m.conf").stderr


def test_an_empty_acl_file_is_closed_not_open(tmp_path):
    (tmp_path / "acl").write_text("# nothing\n")
    (tmp_path / "m.conf").write_text(f"listener 1883\nallow_anonymous true\nacl_file {tmp_path}/acl\n")
    imported(tmp_path / "m.conf", "--output", tmp_path / "fleet")
    done = subprocess.run([program("fleet-broker"), "explain", "--config",
                           tmp_path / "fleet" / "broker.toml", "publish", "a"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1


def test_listeners_with_settings_of_their_own(tmp_path):
    mosquitto_password_file(tmp_path / "passwd", {"alice": "a"})
    (tmp_path / "acl").write_text("user alice\ntopic #\n")
    (tmp_path / "m.conf").write_text(
        f"per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\n"
        f"listener 8883 0.0.0.0\npassword_file {tmp_path}/passwd\nacl_file {tmp_path}/acl\n"
        f"cafile /ca.crt\ncertfile /server.crt\nkeyfile /server.key\nrequire_certificate true\n"
        f"use_identity_as_username true\ncrlfile /crl.pem\nmax_connections 50\n"
        f"listener 9001 ::1\nprotocol websockets\nallow_anonymous true\nmount_point x/\n"
        f"listener 8884 127.0.0.1\npsk_hint hint\npsk_file /psk\n"
        f"listener 0 /run/mqtt.sock\nallow_anonymous true\n")
    done = imported(tmp_path / "m.conf", "--output", tmp_path / "fleet")
    assert done.returncode == 0, done.stderr
    effective = checked(tmp_path / "fleet" / "broker.toml", missing="/server.crt: No such file")
    for line in ['address = "0.0.0.0:8883"', 'client_ca = "/ca.crt"', 'client_crl = "/crl.pem"',
                 'user_from = "cn"', "connections = 50", 'protocol = "websocket"',
                 'psk_file = "/psk"', 'address = "unix:/run/mqtt.sock"']:
        assert line in effective, line
    assert "mount_point: no counterpart" in done.stderr

    def explain(*arguments):
        return subprocess.run([program("fleet-broker"), "explain", "--config",
                               tmp_path / "fleet" / "broker.toml", *arguments],
                              capture_output=True, timeout=60).returncode
    assert explain("--user", "alice", "--listener", "0.0.0.0:8883", "publish", "a") == 0
    assert explain("--user", "bob", "--listener", "0.0.0.0:8883", "publish", "a") == 1
    assert explain("--listener", "127.0.0.1:1883", "publish", "a") == 0


def test_what_is_there_is_not_overwritten(folder):
    (folder / "fleet").mkdir()
    (folder / "fleet" / "broker.toml").write_text("# mine\n")
    done = imported(folder / "mosquitto.conf", "--output", folder / "fleet")
    assert done.returncode == 73 and "there already" in done.stderr
    assert (folder / "fleet" / "broker.toml").read_text() == "# mine\n"
    assert not (folder / "fleet" / "broker.users").exists()


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "m.conf").write_text("listener 1883\nacl_file /nowhere/acl\n")
    for file, name in [("n.conf", "n.conf"), ("m.conf", "/nowhere/acl")]:
        done = imported(tmp_path / file)
        assert done.returncode == 65 and name in done.stderr


def test_a_malformed_line_of_a_password_file_is_left_out_and_said(tmp_path):
    (tmp_path / "passwd").write_text("alice:plain-secret\nbob\n")
    (tmp_path / "m.conf").write_text(f"listener 1883\npassword_file {tmp_path}/passwd\n")
    done = imported(tmp_path / "m.conf")
    assert "passwd:1: password_file: the user alice is left out" in done.stderr
    assert "passwd:2: password_file: left out" in done.stderr
    assert "plain-secret" not in done.stderr + done.stdout
