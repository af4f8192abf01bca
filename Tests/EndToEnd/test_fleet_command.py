"""The `fleet` command against brokers that nobody here wrote."""

import json
import os
import pty
import re
import subprocess
import time

import pytest

from fleetlab.brokers import mosquitto_password_file, secret_file
from fleetlab.link import Link
from fleetlab.processes import free_port, program, run

ONLINE = '{"state":"online","since":"2026-11-21T06:12:00.000Z","version":"0.1.0"}'
HEALTH = '{"t":"2026-11-21T07:00:00.000Z","load":[0.12],"temperature":21.5,"clock_sync":true}'


def fleet(*arguments, **options):
    return run([program("fleet"), *arguments], **options)


@pytest.fixture
def cloud(mosquitto, server_keys, authority, tmp_path):
    """Mosquitto with TLS and a password: (flags, port)."""
    certificate, key = server_keys
    passwords = mosquitto_password_file(tmp_path / "passwords", {"admin": "right"})
    broker = mosquitto(
        f"certfile {certificate}\nkeyfile {key}\nallow_anonymous false\n"
        f"password_file {passwords}\n")
    secret = secret_file(tmp_path / "secret", "right")
    return ["--broker", f"mqtts://admin@localhost:{broker.port}", "--ca-file",
            authority.certificate, "--password-file", secret], broker.port


def retain(flags, topic, payload):
    done = fleet("pub", *flags, "--retain", f"fleet/v1/farm/{topic}", payload)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_status_of_a_fleet_over_tls_is_a_table_and_an_exit_status(cloud):
    flags, _ = cloud
    retain(flags, "barn-1/status", ONLINE)
    retain(flags, "barn-1/health", HEALTH)
    retain(flags, "gateway/link/cloud", ONLINE)
    retain(flags, "gateway/service/bridge", '{"state":"online","counters":{"queue":3}}')
    begun = time.monotonic()
    done = fleet("status", *flags)
    assert time.monotonic() - begun < 2  # a debug build under load; about 0.3 s alone
    assert done.returncode == 0
    # A Mosquitto on this machine is said to be one.
    assert re.fullmatch(r"fleet: the broker at localhost port \d+ is mosquitto .*\n", done.stderr)
    assert done.stdout.splitlines()[1].split() == [
        "farm", "barn-1", "online", "2026-11-21", "06:12", "0.1.0", "0.12", "21.5", "°C",
        "online", "3"]
    assert "\x1b" not in done.stdout

    retain(flags, "gateway/link/cloud", '{"state":"offline"}')
    done = fleet("status", *flags)
    assert done.returncode == 1
    assert {line.split()[2] for line in done.stdout.splitlines()[1:]} == {"unknown"}
    assert "the link to cloud is offline" in done.stderr

    report = json.loads(fleet("status", *flags, "-o", "json").stdout)
    assert [node["state"] for node in report["nodes"]] == ["unknown", "unknown"]
    assert report["links"][0]["state"] == "offline" and report["problems"]


def test_status_of_a_thousand_nodes_is_complete(mosquitto):
    broker = mosquitto()
    for index in range(0, 1000, 200):
        script = "".join(
            f"mosquitto_pub -h 127.0.0.1 -p {broker.port} -r -q 1 -t fleet/v1/farm/n{n}/status "
            f"-m '{ONLINE}' &\n" for n in range(index, index + 200)) + "wait\n"
        subprocess.run(["sh", "-c", script], check=True, timeout=60)
    done = fleet("status", "--broker", f"mqtt://127.0.0.1:{broker.port}", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["nodes"]) == 1000


def test_a_broker_without_anything_is_no_success_and_says_what_may_be_hidden(mosquitto):
    done = fleet("status", "--broker", f"mqtt://127.0.0.1:{mosquitto().port}")
    assert done.returncode == 1 and done.stdout == ""
    assert "no node is known" in done.stderr and "RabbitMQ" in done.stderr


def test_one_node_is_asked_for_topic_by_topic_with_its_sites_links(cloud):
    flags, _ = cloud
    retain(flags, "barn-1/status", ONLINE)
    retain(flags, "barn-2/status", ONLINE)
    done = fleet("status", *flags, "--site", "farm", "--node", "barn-1")
    assert done.returncode == 0 and "barn-2" not in done.stdout
    assert "no link of farm is known here" in done.stderr
    retain(flags, "gateway/link/cloud", '{"state":"offline"}')
    done = fleet("status", *flags, "--site", "farm", "--node", "barn-1")
    assert done.returncode == 1
    assert "barn-1  unknown" in done.stdout and "gateway" not in done.stdout


def test_a_channel_that_the_broker_refuses_is_named(mosquitto, tmp_path):
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite fleet/v1/+/+/status\n")
    broker = mosquitto(f"allow_anonymous true\nacl_file {rules}\n")
    flags = ["--broker", f"mqtt://127.0.0.1:{broker.port}"]
    retain(flags, "barn-1/status", ONLINE)
    done = fleet("status", *flags)
    # Mosquitto grants what it will not send; nothing more can be known, and nothing is invented.
    assert "barn-1" in done.stdout and "gateway" not in done.stdout


@pytest.mark.parametrize("change, words", [
    ("password", ["check the user in --broker and the password", "FLEET_PASSWORD"]),
    ("user", ["--broker mqtts://USER@"]),
    ("authority", ["certificate", "--ca-file"]),
    ("host", ["localhost", "name that stands in the server's certificate"]),
    ("plain", ["mqtts://"]),
    ("closed", ["refused", "is the port right?"]),
    ("name", ["nowhere.invalid"]),
])
def test_errors_say_what_failed_and_what_to_do(
        cloud, mosquitto, authority, tmp_path, change, words):
    flags, port = cloud
    flags = [str(flag) for flag in flags]
    if change == "password":
        flags[5] = str(secret_file(tmp_path / "wrong", "wrong"))
    elif change == "user":
        flags = ["--broker", f"mqtts://localhost:{port}", *flags[2:4]]
    elif change == "authority":
        del flags[2:4]
    elif change == "host":
        certificate, key = authority.issue("other", hosts=("DNS:other.example",))
        other = mosquitto(f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}\n")
        flags[1] = f"mqtts://admin@localhost:{other.port}"
    elif change == "plain":
        flags = ["--broker", f"mqtt://localhost:{port}", "--connect-timeout", "2s"]
    elif change == "closed":
        flags[1] = f"mqtts://admin@localhost:{free_port()}"
    elif change == "name":
        flags[1] = "mqtts://admin@nowhere.invalid"
    for command in (["status"], ["sub", "#"], ["pub", "a", "b"]):
        done = fleet(*command[:1], *flags, *command[1:])
        assert done.returncode == 2 and done.stdout == ""
        for word in words:
            assert word in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.startswith("fleet: ")


def test_a_black_hole_ends_with_the_connect_timeout(mosquitto, started):
    link = Link(mosquitto().port)
    started.append(link)
    link.cut()
    begun = time.monotonic()
    done = fleet("status", "--broker", f"mqtt://127.0.0.1:{link.port}", "--connect-timeout", "1s")
    assert done.returncode == 2 and time.monotonic() - begun < 6
    assert "did not answer" in done.stderr


def test_sub_prints_each_message_as_it_comes_and_ends_after_count(cloud, start):
    flags, _ = cloud
    process = start([program("fleet"), "sub", *flags, "-v", "-q", "1", "--count", "2", "a/#"])
    deadline = time.monotonic() + 20
    # Until it has subscribed, nobody hears; then each line comes at once, not at the end.
    while "a/b one" not in process.output and time.monotonic() < deadline:
        fleet("pub", *flags, "a/b", "one")
    fleet("pub", *flags, "a/c", "two")
    assert process.wait() == 0
    assert len(process.output.strip().splitlines()) == 2


def test_sub_of_retained_messages_ends_by_itself(cloud):
    flags, _ = cloud
    retain(flags, "barn-1/status", ONLINE)
    done = fleet("sub", *flags, "--retained-only", "-o", "json", "fleet/#")
    assert done.returncode == 0
    message = json.loads(done.stdout)
    assert message["topic"] == "fleet/v1/farm/barn-1/status" and message["retain"] is True
    assert message["payload"]["state"] == "online"
    retain(flags, "barn-1/status", "")
    done = fleet("sub", *flags, "--retained-only", "fleet/#")
    assert (done.returncode, done.stdout) == (1, "")


def test_sub_ends_after_its_timeout_with_1_if_nothing_came(cloud):
    flags, _ = cloud
    done = fleet("sub", *flags, "--timeout", "300ms", "a/#")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_sub_ends_in_order_when_interrupted(cloud, start):
    flags, _ = cloud
    retain(flags, "barn-1/status", ONLINE)
    process = start([program("fleet"), "sub", *flags, "fleet/#"])
    process.wait_for("online")
    process.signal(2)
    assert process.wait() == 0


def test_pub_takes_the_message_from_standard_input(cloud):
    flags, _ = cloud
    done = fleet("pub", *flags, "--retain", "--file", "-", "x/y", input_text="from a pipe")
    assert done.returncode == 0, done.stderr
    assert fleet("sub", *flags, "--retained-only", "x/y").stdout == "from a pipe\n"


def test_usage_errors_end_with_2_and_help_with_0():
    for arguments in (["--nonsense"], ["status", "-o", "xml"], ["sub"], ["pub", "a/#", "x"]):
        done = fleet(*arguments)
        assert done.returncode == 2 and done.stdout == "" and done.stderr
    done = fleet("status", "--help")
    assert done.returncode == 0 and "Exit status" in done.stdout and done.stderr == ""


def test_a_context_of_the_configuration_file_is_used(cloud, tmp_path):
    flags, _ = cloud
    folder = tmp_path / "config" / "fleet"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[context.farm]\nbroker = "{flags[1]}"\nca_file = "{flags[3]}"\n'
        f'password_file = "{flags[5]}"\n')
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = fleet("sub", "--timeout", "300ms", "a", environment=environment)
    assert done.returncode == 1 and done.stderr == ""
    done = fleet("status", "--context", "fram", environment=environment)
    assert done.returncode == 2 and "did you mean farm?" in done.stderr


def test_the_prompt_for_the_password_shows_nothing_of_it(cloud):
    flags, _ = cloud
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("FLEET_PASSWORD", None)
        arguments = [str(flag) for flag in flags[:4]]
        os.execv(program("fleet"), ["fleet", "pub", *arguments, "a", "b"])
    seen = b""
    while b"Password of admin at localhost: " not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, b"wrongg\x15right\n")
    try:
        while True:
            seen += os.read(terminal, 1024)
    except OSError:
        pass  # the terminal is gone with its last process
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert b"right" not in seen and b"wrong" not in seen


def test_colours_stand_on_a_terminal_only_and_no_color_is_respected(cloud):
    flags, _ = cloud
    retain(flags, "barn-1/status", ONLINE)
    for environment, has_colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        child, terminal = pty.fork()
        if child == 0:
            os.environ["TERM"] = "xterm"
            os.environ.update(environment)
            os.execv(program("fleet"), ["fleet", "status", *[str(flag) for flag in flags]])
        seen = b""
        try:
            while True:
                seen += os.read(terminal, 4096)
        except OSError:
            pass
        os.waitpid(child, 0)
        assert b"barn-1" in seen and (b"\x1b[32monline" in seen) == has_colours
    assert "\x1b" not in fleet("status", *flags).stdout
