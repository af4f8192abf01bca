"""Rights: rules in broker.toml, what they refuse, `explain`, reload, and Mosquitto's password hashes."""

import signal
import subprocess

import pytest

from fleetlab.brokers import fleet_password_file, mosquitto_password_file
from fleetlab.processes import program
from support import Client

RULES = """
[role.sensor]
users = ["s1", "s2"]
publish = ["site/%u/#"]
subscribe = ["cmd/%u/#"]

[role.desk]
users = ["desk"]
publish = ["cmd/#"]
subscribe = ["#", "$SYS/#"]
deny_subscribe = ["site/+/secret"]
"""
PASSWORDS = {"s1": "one", "s2": "two", "desk": "three"}


@pytest.fixture
def ruled(fleet_broker, tmp_path):
    """A broker with users and rules; ruled(rules) writes other rules, ruled.reload() takes them over."""
    class Ruled:
        def __init__(self):
            self.users = fleet_password_file(tmp_path / "users", PASSWORDS)
            self.broker = fleet_broker(self.text(RULES))
            self.port = self.broker.port

        def text(self, rules):
            return f'[authentication]\npassword_file = "{self.users}"\n{rules}'

        def client(self, user, version="5", **options):
            return Client(self.port, options.pop("client_id", user), version, user=user,
                          password=PASSWORDS[user], **options)

        def reload(self, rules=None, expect="configuration reloaded"):
            if rules is not None:
                self.broker.file.write_text(self.text(rules))
            before = len(self.broker.process.lines)
            self.broker.process.signal(signal.SIGHUP)
            self.broker.process.wait_for(expect, start=before)
    return Ruled()


def test_rules_are_asked_at_publish_and_subscribe(ruled):
    desk = ruled.client("desk").connected()
    assert [str(code) for code in desk.subscribe("#", qos=1)] == ["Granted QoS 1"]
    sensor = ruled.client("s1").connected()
    assert "Not authorized" in str(sensor.subscribe("cmd/s2/#")[0])
    assert "Not authorized" in str(sensor.publish("site/s2/t", b"x", 1))
    sensor.publish("site/s1/secret", b"hidden", 1)
    assert "Success" in str(sensor.publish("site/s1/t", b"seen", 1))
    assert desk.received(1) == [b"seen"]
    assert desk.topics() == ["site/s1/t"]
    old = ruled.client("s2", "3.1.1").connected()
    assert old.subscribe("cmd/s1/x")[0].is_failure
    old.publish("site/s1/t", b"dropped", 1)
    old.publish("site/s2/t", b"taken", 2)
    assert desk.received(2)[1] == b"taken"
    for client in (desk, sensor, old):
        client.disconnect()


@pytest.mark.parametrize("name", ["+", "#", "s1/x", "%u", "%c"])
def test_a_client_id_that_holds_wildcards_opens_nothing(fleet_broker, name):
    broker = fleet_broker('[role.all]\neverybody = true\npublish = ["c/%c/t"]\n'
                          'subscribe = ["c/%c/#"]\n[role.x]\nanonymous = true\nsubscribe = ["free"]\n')
    client = Client(broker.port, name, "5").connected()
    for topic in ("c/s1/t", "c/s1/x/t", f"c/{name}/t".replace("#", "h").replace("+", "p")):
        assert "Not authorized" in str(client.publish(topic, b"x", 1))
    codes = client.subscribe("c/+/#", "c/s1/#", "#", "c/#")
    assert [code.is_failure for code in codes] == [True, True, False, True]
    honest = Client(broker.port, "s1", "5").connected()
    honest.publish("c/s1/t", b"private", 1)
    honest.publish("free", b"x")
    client.disconnect()
    honest.disconnect()
    assert client.messages == []


def test_a_will_on_a_denied_topic_refuses_the_connection(ruled):
    will = {"topic": "site/s2/gone", "payload": b"x"}
    assert "Not authorized" in str(ruled.client("s1", will=will).refused())
    ruled.client("s1", will={"topic": "site/s1/gone", "payload": b"x"}).connected().disconnect()


def test_a_retained_message_on_a_denied_topic_is_neither_kept_nor_given(ruled):
    sensor = ruled.client("s1").connected()
    assert "Not authorized" in str(sensor.publish("cmd/s1/x", b"kept?", 1, retain=True))
    sensor.publish("site/s1/secret", b"kept", 1, retain=True)
    sensor.publish("site/s1/t", b"kept", 1, retain=True)
    desk = ruled.client("desk").connected()
    desk.subscribe("#")
    assert desk.received(1) == [b"kept"]
    assert desk.topics() == ["site/s1/t"]
    sensor.disconnect()
    desk.disconnect()


def test_a_revoked_right_ends_subscriptions_and_retained_messages_at_once(ruled):
    sensor, desk = ruled.client("s1").connected(), ruled.client("desk").connected()
    sensor.subscribe("cmd/s1/#", qos=1)
    sensor.publish("site/s1/t", b"kept", 1, retain=True)
    ruled.reload('[role.desk]\nusers = ["desk"]\npublish = ["cmd/#"]\nsubscribe = ["#"]\n')
    desk.subscribe("#", qos=1)
    desk.publish("cmd/s1/x", b"nobody's", 1)
    assert desk.received(1) == [b"nobody's"]
    assert desk.topics() == ["cmd/s1/x"], "the retained message came first"
    assert "Not authorized" in str(sensor.publish("site/s1/t", b"x", 1))
    assert sensor.messages == []
    ruled.broker.process.wait_for("subscriptions ended by new rules.*client=s1")
    sensor.disconnect()
    desk.disconnect()


def test_a_reload_with_a_wrong_rule_keeps_the_old_ones_and_says_where(ruled):
    sensor = ruled.client("s1").connected()
    ruled.reload(RULES.replace("cmd/%u/#", "cmd/#/x"),
                 expect=r"broker\.toml:7:14: role\.sensor\.subscribe: this is no topic filter")
    ruled.broker.process.wait_for("configuration not reloaded; the old one stays")
    sensor.subscribe("cmd/s1/#", qos=1)
    assert not sensor.publish("site/s1/t", b"x", 1).is_failure
    sensor.disconnect()


def test_an_empty_set_of_rules_is_closed_not_open(ruled):
    ruled.reload("[role]\n")
    desk = ruled.client("desk").connected()
    assert desk.subscribe("#")[0].is_failure
    assert "Not authorized" in str(desk.publish("a", b"x", 1))
    desk.disconnect()


def test_a_user_who_is_removed_is_disconnected(ruled):
    s1, s2 = ruled.client("s1").connected(), ruled.client("s2").connected()
    lines = ruled.users.read_text().splitlines(keepends=True)
    ruled.users.write_text("".join(lines[1:]))
    ruled.reload()
    assert "Not authorized" in str(s1.disconnected())
    s2.subscribe("cmd/s2/x", qos=1)
    fleet_password_file(ruled.users, {"s2": "another"})
    ruled.reload()
    assert "Administrative action" in str(s2.disconnected())


def test_limits_change_at_a_reload(ruled):
    desk = ruled.client("desk").connected()
    desk.subscribe("a")
    ruled.reload(RULES + "[limits]\nsubscriptions = 1\n")
    assert "Quota exceeded" in str(desk.subscribe("b")[0])
    desk.disconnect()


def explain(file, *arguments):
    done = subprocess.run([program("fleet-broker"), "explain", "--config", file, *arguments],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_explain_names_the_rule_that_decides(tmp_path):
    file = tmp_path / "broker.toml"
    file.write_text(RULES)
    code, text = explain(file, "--user", "s1", "publish", "site/s1/t")
    assert code == 0 and text.startswith("allowed:") and f"{file}:4:12" in text
    code, text = explain(file, "--user", "s1", "publish", "site/s2/t")
    assert code == 1 and text.startswith("denied:") and "no rule allows it" in text
    code, text = explain(file, "--user", "desk", "subscribe", "site/a/secret")
    assert code == 1 and f"{file}:11:19" in text and "role desk" in text
    code, text = explain(file, "--user", "desk", "subscribe", "#")
    assert code == 0 and "in part" in text
    code, text = explain(file, "publish", "$SYS/x")
    assert code == 1 and "only the server" in text
    assert explain(file, "write", "x")[0] == 64
    assert explain(file, "publish", "a/+")[0] == 64
    file.write_text("[role.x]\npublish = [1]\n")
    assert explain(file, "publish", "a")[0] == 78


# --- hashes of Mosquitto's ------------------------------------------------------------------------

def mosquitto_users(path, users, method=None):
    """A password file as Debian's mosquitto_passwd makes it, with $6$ or $7$ hashes."""
    if method is None:
        return mosquitto_password_file(path, users)
    path.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    path.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-H", method, "-U", path], check=True, timeout=60)
    return path


@pytest.mark.parametrize("method, mark", [("sha512", "$6$"), ("sha512-pbkdf2", "$7$")])
def test_hashes_of_mosquitto_are_accepted_and_renewed(fleet_broker, tmp_path, method, mark):
    try:
        users = mosquitto_users(tmp_path / "users", {"alice": "a-secret", "bob": "b-secret"}, method)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip(f"this mosquitto_passwd does not make {method}")
    before = users.read_text()
    assert before.count(mark) == 2
    users.write_text("# brought along\n" + before)
    broker = fleet_broker(f'[authentication]\npassword_file = "{users}"\n')
    Client(broker.port, "x", user="alice", password="wrong").refused()
    assert users.read_text() == "# brought along\n" + before
    Client(broker.port, "a", user="alice", password="a-secret").connected().disconnect()
    broker.process.wait_for("password hash of Mosquitto's renewed.*user=alice")
    comment, alice, bob = users.read_text().splitlines()
    assert comment == "# brought along" and alice.startswith("alice:SCRAM-SHA-256$")
    assert bob == before.splitlines()[1]
    assert users.stat().st_mode & 0o777 == 0o600
    # What was renewed is no change of the user's: nobody is disconnected, and the file serves again.
    alice = Client(broker.port, "a", user="alice", password="a-secret").connected()
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    alice.subscribe("x", qos=1)
    again = Client(broker.port, "b", user="alice", password="a-secret").connected()
    again.publish("x", b"y", 1)
    assert alice.received(1) == [b"y"]
    assert "secret" not in broker.process.output


def test_many_who_log_in_at_once_with_an_old_hash_are_all_let_in(fleet_broker, tmp_path):
    users = mosquitto_users(tmp_path / "users", {"alice": "a-secret"})
    broker = fleet_broker(f'[authentication]\npassword_file = "{users}"\n')
    clients = [Client(broker.port, f"c{n}", user="alice", password="a-secret") for n in range(8)]
    for client in clients:
        client.connected()
    for client in clients:
        client.disconnect()
    assert users.read_text().count("SCRAM-SHA-256$") == 1


def test_a_password_file_that_cannot_be_written_is_said_once(fleet_broker, tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir()
    users = mosquitto_users(folder / "users", {"alice": "a-secret", "bob": "b-secret"})
    before = users.read_text()
    # Even root writes no file into a folder that is too long for one more name.
    long = folder / ("u" * 250)
    users.rename(long)
    broker = fleet_broker(f'[authentication]\npassword_file = "{long}"\n')
    for user in ("alice", "bob"):
        Client(broker.port, user, user=user, password=f"{user[0]}-secret").connected().disconnect()
    broker.process.wait_for("password file cannot be written")
    assert broker.process.output.count("cannot be written") == 1
    assert long.read_text() == before


@pytest.mark.parametrize("line, why", [
    ("x:$5$AAAA$AAAA", "fleet-broker passwd"), ("x:$6$AAAA", "looks like"),
    ("x:$6$AAAA$AAAA", "base 64"), ("x:$7$0$AAAA$AAAA", "iterations"),
    ("x:$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA", "fleet-broker passwd"), ("x:plain", "SCRAM"),
])
def test_a_malformed_hash_is_an_error_with_its_line(tmp_path, line, why):
    users = tmp_path / "users"
    users.write_text(f"# one\n{line}\n")
    users.chmod(0o600)
    configuration = tmp_path / "broker.toml"
    configuration.write_text('[authentication]\npassword_file = "users"\n')
    done = subprocess.run([program("fleet-broker"), "--config", configuration, "--listen",
                           "127.0.0.1:0", "--state-directory", tmp_path / "state"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert "users:2:" in done.stderr and why in done.stderr and "AAAA" not in done.stderr
