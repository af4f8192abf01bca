"""`fleet-broker passwd`, and password files that the broker must not take."""

import os
import signal
import subprocess

import pytest

from fleetlab.processes import program
from support import Client


def passwd(*arguments, text=None):
    return subprocess.run([program("fleet-broker"), "passwd", *map(str, arguments)], input=text,
                          capture_output=True, text=True, timeout=60)


def start(folder):
    """Runs the broker until it has refused its configuration."""
    configuration = folder / "broker.toml"
    configuration.write_text('[authentication]\npassword_file = "users"\n')
    return subprocess.run([program("fleet-broker"), "--config", configuration, "--listen",
                           "127.0.0.1:0", "--state-directory", folder / "state"],
                          capture_output=True, text=True, timeout=60)


def test_a_password_file_that_is_missing_says_how_to_make_it(tmp_path):
    done = start(tmp_path)
    assert done.returncode == 78
    assert f"fleet-broker passwd {tmp_path}/users USER makes it" in done.stderr


def test_a_user_is_added_changed_and_removed(tmp_path):
    users = tmp_path / "users"
    assert passwd(users, "alice", text="one\n").returncode == 0
    assert users.stat().st_mode & 0o777 == 0o600
    first = users.read_text()
    assert first.startswith("alice:SCRAM-SHA-256$") and "one" not in first
    users.write_text("# the barn\n" + first)
    assert passwd(users, "bob", text="two\n").returncode == 0
    assert passwd(users, "alice", text="three\n").returncode == 0
    lines = users.read_text().splitlines()
    assert lines[0] == "# the barn"
    assert [line.split(":")[0] for line in lines[1:]] == ["alice", "bob"]
    assert lines[1] != first.strip()
    assert passwd(users, "alice", "--delete").returncode == 0
    assert passwd(users, "alice", "--delete").returncode == 65
    assert "alice" not in users.read_text()


@pytest.mark.parametrize("user", ["", "a:b", "#a", " a", "a\nb"])
def test_a_user_name_that_would_break_the_file_is_refused(tmp_path, user):
    assert passwd(tmp_path / "users", user, text="x\n").returncode == 64
    assert not (tmp_path / "users").exists()


def test_an_empty_password_is_refused(tmp_path):
    assert passwd(tmp_path / "users", "alice", text="\n").returncode == 65
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize("line, why", [
    ("alice", "no colon"), ("alice:", "SCRAM"), ("alice:secret", "SCRAM"),
    (":SCRAM-SHA-256$4096:AA==$AA==:AA==", "must not be empty"),
    ("alice:SCRAM-SHA-256$1:AA==$AA==:AA==", "iterations"),
])
def test_a_malformed_line_is_an_error_with_its_number(tmp_path, line, why):
    users = tmp_path / "users"
    assert passwd(users, "bob", text="two\n").returncode == 0
    with users.open("a") as file:
        file.write(line + "\n")
    refused = start(tmp_path)
    assert refused.returncode == 78
    assert "users:2:" in refused.stderr and why in refused.stderr
    assert "secret" not in refused.stderr
    assert passwd(users, "carol", text="x\n").returncode == 78


def test_the_old_password_counts_beside_the_new_one_until_the_next_change(tmp_path, fleet_broker):
    users = tmp_path / "users"
    assert passwd(users, "alice", "--keep-old", text="one\n").returncode == 65
    assert passwd(users, "alice", text="one\n").returncode == 0
    broker = fleet_broker(f'[authentication]\npassword_file = "{users}"\n')

    def reload():
        before = len(broker.process.lines)
        broker.process.signal(signal.SIGHUP)
        broker.process.wait_for("configuration reloaded", start=before)

    def is_let_in(password):
        client = Client(broker.port, "another", user="alice", password=password)
        client.wait(lambda: client.connection, "CONNACK").stop()
        return not client.connection[1].is_failure

    first = Client(broker.port, "first", "5", user="alice", password="one").connected()
    assert passwd(users, "alice", "--keep-old", text="two\n").returncode == 0
    assert [line.split(":")[0] for line in users.read_text().splitlines()] == ["alice", "alice"]
    reload()
    assert is_let_in("one") and is_let_in("two") and not is_let_in("three")
    # Who came with a password that counts still is not sent away.
    assert not first.publish("t", b"x", 1).is_failure
    assert passwd(users, "alice", text="two\n").returncode == 0
    assert len(users.read_text().splitlines()) == 1
    reload()
    assert "Administrative action" in str(first.disconnected())
    assert not is_let_in("one") and is_let_in("two")
    assert passwd(users, "alice", "--keep-old", text="three\n").returncode == 0
    assert passwd(users, "alice", "--keep-old", "--delete").returncode == 64
    assert passwd(users, "alice", "--delete").returncode == 0
    assert users.read_text() == ""


def test_a_user_who_stands_in_the_file_twice_is_an_error(tmp_path):
    users = tmp_path / "users"
    assert passwd(users, "bob", text="two\n").returncode == 0
    users.write_text(users.read_text() * 2)
    assert start(tmp_path).returncode == 78


def test_a_file_that_others_can_read_is_refused(tmp_path):
    users = tmp_path / "users"
    assert passwd(users, "bob", text="two\n").returncode == 0
    users.chmod(0o644)
    refused = start(tmp_path)
    assert refused.returncode == 78 and "chmod 640" in refused.stderr


def test_a_listener_that_nobody_can_use_is_an_error(tmp_path):
    configuration = tmp_path / "broker.toml"
    configuration.write_text('[[listener]]\naddress = "0.0.0.0:0"\n')
    refused = subprocess.run([program("fleet-broker"), "--config", configuration, "--check-config"],
                             capture_output=True, text=True, timeout=60)
    assert refused.returncode == 78
    assert f"{configuration}:2:" in refused.stderr and "allow_anonymous" in refused.stderr


def test_a_file_with_windows_line_ends_has_all_its_users(tmp_path):
    users = tmp_path / "users"
    assert passwd(users, "alice", text="one\n").returncode == 0
    users.write_bytes(b"# the barn\r\n" + users.read_bytes().replace(b"\n", b"\r\n"))
    assert passwd(users, "bob", text="two\n").returncode == 0
    assert passwd(users, "alice", text="three\n").returncode == 0
    lines = users.read_bytes().split(b"\n")
    assert lines[0] == b"# the barn\r"
    assert [line.split(b":")[0] for line in lines[1:-1]] == [b"alice", b"bob"]
    users.write_bytes(b"# the barn\r\nmallory\r\n")
    refused = start(tmp_path)
    assert refused.returncode == 78 and "users:2:" in refused.stderr


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    users = tmp_path / "users"
    assert passwd(users, "alice", text="one\n").returncode == 0
    users.write_bytes(b"\xef\xbb\xbf" + users.read_bytes())
    refused = start(tmp_path)
    assert refused.returncode == 78 and "byte order mark" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_the_brokers_user(tmp_path):
    users = tmp_path / "users"
    assert passwd(users, "alice", text="one\n").returncode == 0
    os.chown(users, 0, 4321)
    users.chmod(0o440)
    assert passwd(users, "bob", text="two\n").returncode == 0
    status = users.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, 4321, 0o440)
    # A new one is whose the broker's state is.
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 4320, 4321)
    fresh = tmp_path / "fresh"
    assert passwd(fresh, "alice", "--state-directory", tmp_path / "state", text="one\n").returncode == 0
    status = fresh.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (4320, 4321, 0o600)
