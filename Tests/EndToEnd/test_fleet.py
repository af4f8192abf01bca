"""The admin's command against real brokers: status, pub and sub, and what it says when it cannot."""

import json
import os
import pty
import re
import signal

import pytest

from fleetlab.brokers import fleet_password_file, secret_file
from fleetlab.processes import free_port, program, run
from support import mosquitto_pub, mosquitto_sub

ANSI = "\x1b["


@pytest.fixture(params=["fleet-broker", "mosquitto"])
def broker(request, fleet_broker, mosquitto):
    """Everything here works against both."""
    return fleet_broker() if request.param == "fleet-broker" else mosquitto()


def fleet(broker, command, *arguments, **options):
    return run([program("fleet"), command, "--broker", f"mqtt://127.0.0.1:{broker.port}",
                *arguments], **options)


def retain(broker, topic, **payload):
    mosquitto_pub(broker.port, "-t", f"fleet/v1/{topic}", "-r", "-q", "1", "-m",
                  json.dumps(payload))


SINCE = "2026-11-21T06:12:00.000Z"


def online(broker, node, state="online"):
    retain(broker, f"{node}/status", state=state, instance="00112233445566aa", session=1,
           since=SINCE, version="0.1.0")


def test_status_of_a_fleet_that_is_well(broker):
    online(broker, "farm/barn-1")
    online(broker, "farm/barn-2")
    done = fleet(broker, "status")
    assert done.returncode == 0, done.stdout + done.stderr
    header, first, second = done.stdout.splitlines()[:3]
    assert header.split()[:3] == ["SITE", "NODE", "STATE"]
    assert first.split()[:3] == ["farm", "barn-1", "online"]
    assert second.split()[:3] == ["farm", "barn-2", "online"]
    assert "0.1.0" in first


def test_an_offline_node_is_shown_and_the_exit_status_is_1(broker):
    online(broker, "farm/barn-1")
    online(broker, "farm/barn-2", state="offline")
    done = fleet(broker, "status")
    assert done.returncode == 1
    assert re.search(r"farm\s+barn-2\s+offline", done.stdout)


def test_nodes_behind_a_link_that_is_down_are_unknown(broker):
    online(broker, "farm/barn-1")
    online(broker, "shop/till-1")
    retain(broker, "farm/gateway/link/cloud", state="offline", instance="00112233445566aa",
           session=1)
    done = fleet(broker, "status")
    assert done.returncode == 1
    assert re.search(r"farm\s+barn-1\s+unknown", done.stdout)
    assert re.search(r"shop\s+till-1\s+online", done.stdout)


def test_status_as_json(broker):
    online(broker, "farm/barn-1")
    done = fleet(broker, "status", "-o", "json")
    assert done.returncode == 0
    node = json.loads(done.stdout)["nodes"][0]
    assert (node["site"], node["node"], node["state"]) == ("farm", "barn-1", "online")


def test_payloads_of_strangers_do_not_reach_the_terminal_raw(broker):
    retain(broker, "farm/barn-1/status", state="online", instance="00112233445566aa", session=1,
           since=SINCE, version="\x1b[31mevil\x07")
    mosquitto_pub(broker.port, "-t", "fleet/v1/farm/barn-2/status", "-r", "-m", "not json")
    done = fleet(broker, "status")
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout
    assert "Fatal" not in done.stderr


def test_an_empty_fleet_says_so(broker):
    done = fleet(broker, "status")
    assert done.returncode in (0, 1)
    assert "no node" in (done.stdout + done.stderr).lower()


def test_pub_reaches_others_and_sub_prints_payloads(broker, started, start):
    subscriber = mosquitto_sub(broker.port, "-t", "a/#", "-v", "-q", "1")
    started.append(subscriber)
    assert fleet(broker, "pub", "a/b", "hello").returncode == 0
    subscriber.wait_for("^a/b hello$")
    own = start([program("fleet"), "sub", "--broker", f"mqtt://127.0.0.1:{broker.port}", "-v",
                 "a/#"])
    retained = fleet(broker, "pub", "--retain", "a/kept", "kept")
    assert retained.returncode == 0
    own.wait_for("^a/kept kept$")
    mosquitto_pub(broker.port, "-t", "a/c", "-m", "from afar")
    own.wait_for("^a/c from afar$")


def test_sub_as_json_with_count(broker):
    fleet(broker, "pub", "--retain", "a", '{"v":1}')
    done = fleet(broker, "sub", "--count", "1", "-o", "json", "a")
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    assert message["topic"] == "a" and message["payload"] == {"v": 1} and message["retain"]


def test_sub_with_a_time_limit_ends_with_1_when_nothing_came(broker):
    assert fleet(broker, "sub", "--timeout", "1s", "nothing/here").returncode == 1


def test_ctrl_c_ends_sub_in_order(broker, start):
    process = start([program("fleet"), "sub", "--broker", f"mqtt://127.0.0.1:{broker.port}", "-v",
                     "a"])
    fleet(broker, "pub", "--retain", "a", "x")
    process.wait_for("^a x$")
    process.signal(signal.SIGINT)
    assert process.wait(2) in (0, 130, -signal.SIGINT)


def test_nobody_at_home_is_exit_2_and_says_what_to_do():
    port = free_port()
    done = run([program("fleet"), "status", "--broker", f"mqtt://127.0.0.1:{port}"])
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr and "refused" in done.stderr.lower()


@pytest.mark.parametrize("arguments", [["status", "--no-such-flag"], ["nonsense"],
                                       ["sub", "--broker", "mqtt://127.0.0.1:1", "a/#/b"],
                                       ["pub", "--broker", "mqtt://127.0.0.1:1", "a/+", "x"],
                                       ["status", "--broker", "http://a"]])
def test_usage_errors_are_exit_2(arguments):
    done = run([program("fleet"), *arguments])
    assert done.returncode == 2
    assert done.stderr


def test_a_password_in_the_url_is_refused_without_showing_it():
    done = run([program("fleet"), "status", "--broker", "mqtt://user:hunter2@127.0.0.1"])
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "--password-file" in done.stderr or "FLEET_PASSWORD" in done.stderr


@pytest.fixture
def secured(fleet_broker, tmp_path, server_keys):
    passwords = fleet_password_file(tmp_path / "passwords", {"admin": "open sesame"})
    certificate, key = server_keys
    return fleet_broker(
        f'[[listener]]\naddress = "127.0.0.1:0"\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n'
        f'[authentication]\npassword_file = "{passwords}"\nallow_anonymous = false\n', listen=None)


def test_tls_with_a_password_from_file_and_environment(secured, authority, tmp_path):
    base = [program("fleet"), "pub", "--broker", f"mqtts://admin@localhost:{secured.port}",
            "--ca-file", authority.certificate, "a", "x"]
    file = secret_file(tmp_path / "password", "open sesame")
    assert run([*base, "--password-file", file]).returncode == 0
    assert run(base, environment={"FLEET_PASSWORD": "open sesame"}).returncode == 0
    wrong = run(base, environment={"FLEET_PASSWORD": "sesame"})
    assert wrong.returncode == 2
    assert "password" in wrong.stderr.lower() and "sesame" not in wrong.stderr
    file.chmod(0o644)
    open_file = run([*base, "--password-file", file])
    assert open_file.returncode == 2 and "chmod" in open_file.stderr


def test_an_unknown_authority_and_a_wrong_host_name_say_what_to_do(secured, authority):
    environment = {"FLEET_PASSWORD": "open sesame"}
    untrusted = run([program("fleet"), "status", "--broker",
                     f"mqtts://admin@localhost:{secured.port}"], environment=environment)
    assert untrusted.returncode == 2
    assert "ca-file" in untrusted.stderr or "ca_file" in untrusted.stderr
    wrong_host = run([program("fleet"), "status", "--broker",
                      f"mqtts://admin@127.0.0.2:{secured.port}", "--ca-file",
                      authority.certificate], environment=environment)
    assert wrong_host.returncode == 2


def test_the_password_is_asked_for_without_echo(secured, authority):
    arguments = [program("fleet"), "pub", "--broker", f"mqtts://admin@localhost:{secured.port}",
                 "--ca-file", str(authority.certificate), "a", "x"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("FLEET_PASSWORD", None)
        os.execv(arguments[0], arguments)
    output = read_until(terminal, b"assword")
    os.write(terminal, b"open sesame\n")
    output += read_until(terminal, None)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, output
    assert b"sesame" not in output


def read_until(terminal, text):
    got = b""
    while text is None or text not in got:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # EIO: the program has ended
            break
        if not chunk:
            break
        got += chunk
    return got


def test_colours_only_on_a_terminal(fleet_broker):
    broker = fleet_broker()
    online(broker, "farm/barn-1", state="offline")
    assert ANSI not in fleet(broker, "status").stdout
    arguments = [program("fleet"), "status", "--broker", f"mqtt://127.0.0.1:{broker.port}"]

    def on_terminal(environment):
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.pop("NO_COLOR", None)
            os.environ.update({"TERM": "xterm", **environment})
            os.execv(arguments[0], arguments)
        output = read_until(terminal, None).decode()
        os.waitpid(pid, 0)
        return output
    assert ANSI in on_terminal({})
    assert ANSI not in on_terminal({"NO_COLOR": "1"})


def test_a_context_of_the_configuration_file(fleet_broker, tmp_path):
    broker = fleet_broker()
    online(broker, "farm/barn-1")
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'[context.home]\nbroker = "mqtt://127.0.0.1:{broker.port}"\ndefault = true\n')
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    done = run([program("fleet"), "status"], environment=environment)
    assert done.returncode == 0, done.stderr
    assert "barn-1" in done.stdout
    unknown = run([program("fleet"), "status", "--context", "work"], environment=environment)
    assert unknown.returncode == 2 and "home" in unknown.stderr
