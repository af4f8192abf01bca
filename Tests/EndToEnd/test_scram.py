"""SCRAM-SHA-256 by AUTH (MQTT 5.0, 4.12): packets as bytes, and the client's arithmetic by hashlib."""

import base64
import hashlib
import hmac
import os
import signal
import socket
import subprocess

import pytest

from fleetlab.processes import WAIT_SECONDS, program

CONNACK, AUTH, DISCONNECT = 2, 15, 14


def field(data):
    return len(data).to_bytes(2, "big") + data


def packet(kind, body):
    assert len(body) < 16_384
    length = len(body)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([kind << 4]) + size + body


def exchange_properties(data, method=b"SCRAM-SHA-256"):
    found = b"\x15" + field(method) + b"\x16" + field(data)
    assert len(found) < 128
    return bytes([len(found)]) + found


class Conversation:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, "the broker closed the connection"
            data += more
        return data

    def receive(self):
        """(type, reason code, properties by identifier) of the next packet."""
        kind = self.read(1)[0] >> 4
        length, shift = 0, 0
        while True:
            byte = self.read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = self.read(length)
        body = body[1:] if kind == CONNACK else body
        reason, rest, found = body[0], body[2:], {}
        sizes = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x27: 4, 0x24: 1, 0x25: 1, 0x2A: 1}
        while rest:
            identifier, rest = rest[0], rest[1:]
            size = sizes.get(identifier)
            if size is None:
                size, rest = int.from_bytes(rest[:2], "big"), rest[2:]
            found[identifier], rest = rest[:size], rest[size:]
        return kind, reason, found

    def connect(self, client_id, data, method=b"SCRAM-SHA-256"):
        self.socket.sendall(packet(1, field(b"MQTT") + b"\x05\x02\x00\x3c"
                                   + exchange_properties(data, method) + field(client_id)))

    def auth(self, reason, data):
        self.socket.sendall(packet(AUTH, bytes([reason]) + exchange_properties(data)))


def client_final(password, first_bare, server_first):
    fields = dict(part.split(b"=", 1) for part in server_first.split(b","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without_proof = b"c=biws,r=" + fields[b"r"]
    message = first_bare + b"," + server_first + b"," + without_proof
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature)))
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    expected = b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256"))
    return without_proof + b",p=" + proof, expected


@pytest.fixture
def broker(fleet_broker, tmp_path):
    users = tmp_path / "users"
    done = subprocess.run([program("fleet-broker"), "passwd", users, "alice"], input="secret\n",
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return fleet_broker(f'[authentication]\npassword_file = "{users}"\n')


def log_in(talk, user=b"alice", password=b"secret", client_id=b"c"):
    bare = b"n=" + user + b",r=" + base64.b64encode(os.urandom(18))
    talk.connect(client_id, b"n,," + bare)
    kind, reason, found = talk.receive()
    assert (kind, reason) == (AUTH, 0x18)
    final, expected = client_final(password, bare, found[0x16])
    talk.auth(0x18, final)
    return expected


def test_client_and_server_prove_themselves(broker):
    talk = Conversation(broker.port)
    expected = log_in(talk)
    kind, reason, found = talk.receive()
    assert (kind, reason) == (CONNACK, 0)
    assert found[0x16] == expected and found[0x15] == b"SCRAM-SHA-256"


def test_a_connected_client_does_it_again(broker):
    talk = Conversation(broker.port)
    log_in(talk)
    assert talk.receive()[:2] == (CONNACK, 0)
    bare = b"n=alice,r=again"
    talk.auth(0x19, b"n,," + bare)
    kind, reason, found = talk.receive()
    assert (kind, reason) == (AUTH, 0x18)
    final, expected = client_final(b"secret", bare, found[0x16])
    talk.auth(0x18, final)
    kind, reason, found = talk.receive()
    assert (kind, reason, found[0x16]) == (AUTH, 0, expected)
    talk.auth(0x19, b"n,,n=alice,r=wrong")
    talk.receive()
    talk.auth(0x18, b"c=biws,r=wrong,p=AAAA")
    assert talk.receive()[:2] == (DISCONNECT, 0x87)


@pytest.mark.parametrize("user, password", [(b"alice", b"wrong"), (b"nobody", b"secret")])
def test_a_wrong_password_and_an_unknown_user_look_alike(broker, user, password):
    talk = Conversation(broker.port)
    log_in(talk, user, password)
    assert talk.receive()[:2] == (CONNACK, 0x86)


@pytest.mark.parametrize("change", ["removed", "another password"])
def test_a_user_who_changes_between_the_steps_is_refused(broker, tmp_path, change):
    talk = Conversation(broker.port)
    bare = b"n=alice,r=between"
    talk.connect(b"c", b"n,," + bare)
    kind, _, found = talk.receive()
    assert kind == AUTH
    arguments = ["--delete"] if change == "removed" else []
    done = subprocess.run([program("fleet-broker"), "passwd", tmp_path / "users", "alice", *arguments],
                          input="other\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    final, _ = client_final(b"secret", bare, found[0x16])
    talk.auth(0x18, final)
    assert talk.receive()[:2] == (CONNACK, 0x86)


def test_the_salt_of_an_unknown_user_stays(broker):
    salts = set()

    def ask():
        talk = Conversation(broker.port)
        talk.connect(b"c", b"n,,n=nobody,r=x")
        salts.add(talk.receive()[2][0x16].split(b",s=")[1])

    ask()
    ask()
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    ask()
    broker.stop()
    broker.start()
    ask()
    assert len(salts) == 1
    secret = broker.state / "salt.secret"
    assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_bytes()) == 32
    # Another broker has another one.
    broker.stop()
    secret.unlink()
    broker.start()
    ask()
    assert len(salts) == 2


def test_another_method_and_a_broker_without_users_refuse(broker, fleet_broker):
    talk = Conversation(broker.port)
    talk.connect(b"c", b"x", b"PLAIN")
    assert talk.receive()[:2] == (CONNACK, 0x8C)
    talk = Conversation(fleet_broker().port)
    talk.connect(b"c", b"n,,n=alice,r=x")
    assert talk.receive()[:2] == (CONNACK, 0x8C)
