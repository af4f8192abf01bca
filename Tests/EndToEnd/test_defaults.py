"""What the programs do without configuration, as right after an installation, and the steps from there."""

import json
import os
import pathlib
import re
import socket
import sqlite3
import stat
import tempfile

import pytest

from bridge_support import Watcher
from fleetlab.brokers import mosquitto_password_file, secret_file
from fleetlab.processes import (
    Process, free_port, is_listening, program, run, system_program, wait_until)
from support import Client

DAEMONS = ["fleet-broker", "fleet-agent", "fleet-bridge"]


@pytest.fixture
def bare_bridge(tmp_path, start):
    """A fleet-bridge whose configuration is a folder with nothing in it but the address of an edge broker."""
    def begin(edge_port):
        drop_ins = tmp_path / "bridge.d"
        drop_ins.mkdir()
        (drop_ins / "10-edge.toml").write_text(
            f'node = "gateway"\n[edge]\nurl = "mqtt://127.0.0.1:{edge_port}"\n')
        process = start([program("fleet-bridge"), "--config", tmp_path / "bridge.toml",
                         "--state-directory", tmp_path / "state"])
        process.wait_for("ready")
        return process
    return begin


def upstream_add(tmp_path, url, *arguments, secret=None):
    return run([program("fleet-bridge"), "upstream", "add", url, "--config", tmp_path / "bridge.toml",
                "--state-directory", tmp_path / "state", *arguments], input_text=secret)


def test_a_bridge_without_upstream_is_active_and_stores_nothing(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        process = Process([program("fleet-bridge"), "--state-directory", tmp_path / "state"],
                          environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            process.wait_for("no upstream: fleet-bridge upstream add URL")
            told = ""
            while "READY=1" not in told:
                told += notify.recv(4096).decode()
            assert "STATUS=no upstream: fleet-bridge upstream add URL" in told
            assert not list((tmp_path / "state").glob("*.db*"))
        finally:
            assert process.stop() == 0


def test_upstream_add_makes_the_bridge_that_runs_forward_there(tmp_path, mosquitto, bare_bridge):
    users = mosquitto_password_file(tmp_path / "users", {"pi": "s3cret"})
    edge = mosquitto()
    cloud = mosquitto(f"allow_anonymous false\npassword_file {users}\n")
    process = bare_bridge(edge.port)
    done = upstream_add(tmp_path, f"mqtt://pi@127.0.0.1:{cloud.port}", "--password-file", "-",
                        secret="s3cret\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the bridge forwards there now" in done.stdout
    process.wait_for("edge: subscribed")
    process.wait_for("upstream: connected")
    watcher = Watcher(cloud.port, "fleet/#", user="pi", password="s3cret")
    below = Client(edge.port).connected()
    below.publish("fleet/v1/home/n/m/t", b"1", 1)
    watcher.until(lambda: watcher.payloads("fleet/v1/home/n/m/t") == ["1"], "the message")
    below.disconnect()
    watcher.disconnect()

    secret = tmp_path / "bridge.d" / "upstream.password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert "s3cret" not in (tmp_path / "bridge.d" / "50-upstream.toml").read_text()
    assert "s3cret" not in process.output

    # Another one takes its place, in the same process.
    other = mosquitto()
    assert upstream_add(tmp_path, f"mqtt://127.0.0.1:{other.port}").returncode == 0
    process.wait_for(rf"upstream: connected.*:{other.port}")
    watcher = Watcher(other.port, "fleet/#")
    below = Client(edge.port).connected()
    below.publish("fleet/v1/home/n/m/t", b"2", 1)
    watcher.until(lambda: watcher.payloads("fleet/v1/home/n/m/t") == ["2"], "the message")
    below.disconnect()
    watcher.disconnect()
    assert process.stop() == 0


def test_an_upstream_that_makes_the_configuration_wrong_is_not_written(tmp_path):
    (tmp_path / "bridge.d").mkdir()
    (tmp_path / "bridge.d" / "90-routes.toml").write_text('[routes]\nup = ["a/#", "a/b"]\n')
    done = upstream_add(tmp_path, "mqtt://pi@127.0.0.1:1", "--password-file", "-", secret="x\n")
    assert done.returncode == 78
    assert f"{tmp_path}/bridge.d/90-routes.toml:2:" in done.stderr
    assert [file.name for file in (tmp_path / "bridge.d").iterdir()] == ["90-routes.toml"]


def test_an_upstream_with_a_password_in_its_url_is_refused(tmp_path):
    done = upstream_add(tmp_path, "mqtts://pi:s3cret@cloud.example:8883")
    assert done.returncode == 64
    assert "password" in done.stderr and "s3cret" not in done.stderr
    assert not (tmp_path / "bridge.d").exists()


def test_an_upstream_can_be_added_before_the_bridge_runs(tmp_path):
    done = upstream_add(tmp_path, "mqtts://cloud.example:8883")
    assert done.returncode == 0, done.stderr
    assert "no bridge runs" in done.stdout
    done = run([program("fleet-bridge"), "--config", tmp_path / "bridge.toml", "--check-config"])
    assert re.search(r'url = "mqtts://cloud.example" +# .*/bridge.d/50-upstream.toml:3:1',
                     done.stdout), done.stdout


def test_a_secret_comes_from_what_systemd_has_loaded(tmp_path, mosquitto, start):
    users = mosquitto_password_file(tmp_path / "users", {"pi": "s3cret"})
    broker = mosquitto(f"allow_anonymous false\npassword_file {users}\n")
    loaded = tmp_path / "loaded"
    loaded.mkdir()
    secret_file(loaded / "agent.password", "s3cret")
    (tmp_path / "agent.toml").write_text(
        f'[broker]\nurl = "mqtt://pi@127.0.0.1:{broker.port}"\npassword_file = "agent.password"\n')
    command = [program("fleet-agent"), "--config", tmp_path / "agent.toml",
               "--state-directory", tmp_path / "state"]
    done = run([*command, "--check-config"])
    assert done.returncode == 78 and f"{tmp_path}/agent.password" in done.stderr
    process = start(command, environment={"CREDENTIALS_DIRECTORY": str(loaded)})
    process.wait_for("connected")


@pytest.mark.parametrize("daemon, text, named", [
    ("broker", '[authentication]\npassword_file = "/nowhere/users"\n', "/nowhere/users"),
    ("broker", '[[listener]]\naddress = "127.0.0.1:0"\n'
               'tls = { certificate = "/nowhere/c", key = "/nowhere/k" }\n', "/nowhere/c"),
    ("agent", '[broker]\nurl = "mqtts://h"\nca_file = "/nowhere/ca"\n', "/nowhere/ca"),
    ("bridge", '[upstream]\nurl = "mqtts://h"\nca_file = "/nowhere/ca"\n', "/nowhere/ca"),
])
def test_check_config_reads_the_files_that_are_named(tmp_path, daemon, text, named):
    (tmp_path / "x.toml").write_text(text)
    done = run([program(f"fleet-{daemon}"), "--config", tmp_path / "x.toml", "--check-config"])
    assert done.returncode == 78 and named in done.stderr, done.stderr


def test_where_mosquitto_has_the_port_the_broker_names_it_and_the_rest_uses_it(
        tmp_path, network_namespace, started):
    inside = network_namespace()
    (tmp_path / "mosquitto.conf").write_text("user root\nlistener 1883 127.0.0.1\nallow_anonymous true\n")
    other = Process(inside.command([system_program("mosquitto"), "-c", tmp_path / "mosquitto.conf"]),
                    name="mosquitto")
    started.append(other)
    wait_until(lambda: "127.0.0.1:1883" in run(inside.command(["ss", "-Hltn"])).stdout,
               "mosquitto to listen")
    done = run(inside.command([program("fleet-broker"), "--state-directory", tmp_path / "broker"]))
    assert done.returncode == 78
    assert f"127.0.0.1:1883 is in use by mosquitto (process {other.pid})" in done.stderr

    agent = Process(inside.command([program("fleet-agent"), "--state-directory", tmp_path / "agent"]),
                    name="fleet-agent")
    started.append(agent)
    agent.wait_for("connected")

    def status():
        return run(inside.command([program("fleet"), "status", "-o", "json"]),
                   environment={"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""})
    wait_until(lambda: status().returncode == 0, "the agent to be seen")
    done = status()
    (node,) = json.loads(done.stdout)["nodes"]
    assert (node["site"], node["state"]) == ("home", "online")
    assert re.search(r"the broker at localhost port 1883 is mosquitto version \S+, not fleet-broker",
                     done.stderr), done.stderr


@pytest.fixture
def control_group(tmp_path):
    """A control group of cgroups(7) called like a unit; only root may make one."""
    mount = tmp_path / "groups"
    mount.mkdir()
    if os.geteuid() != 0 or run(["mount", "-t", "cgroup2", "none", mount]).returncode:
        pytest.skip("no control groups can be made here; run as root")
    folder = mount / f"fleet-test-{os.getpid()}.service"
    folder.mkdir()
    yield folder
    wait_until(lambda: not (folder / "cgroup.procs").read_text(), "its processes to end")
    folder.rmdir()
    run(["umount", mount])


def test_who_sees_no_processes_names_the_unit_that_has_the_port(control_group, started):
    port = free_port()
    mosquitto = Process(["sh", "-c", f"echo $$ > {control_group}/cgroup.procs; exec \"$@\"", "sh",
                         system_program("mosquitto"), "-p", str(port)], name="mosquitto")
    started.append(mosquitto)
    wait_until(lambda: is_listening(port), "mosquitto to listen")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        done = run([
            "unshare", "--mount", "sh", "-c",
            'mount -t cgroup2 none /sys/fs/cgroup && exec setpriv --reuid=65533 --regid=65533 '
            '--clear-groups "$@"', "sh", program("fleet-broker"), "--listen", f"127.0.0.1:{port}",
            "--state-directory", f"{folder}/state"])
    assert done.returncode == 78, done.stderr
    assert f"127.0.0.1:{port} is in use by {control_group.name} (" in done.stderr
    mosquitto.stop()


@pytest.fixture
def hidden_proc():
    """Commands that run with a /proc of processes alone, as ProcSubset=pid of systemd has it."""
    begin = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh"]
    if os.geteuid() != 0 or run([*begin, "true"]).returncode:
        pytest.skip("no /proc can be mounted here; run as root")
    return lambda *arguments: [*begin, *map(str, arguments)]


def test_a_sandbox_that_hides_proc_changes_no_names_and_no_boot(tmp_path, hidden_proc, start):
    done = run(hidden_proc(program("fleet-bridge"), "--check-config"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == run([program("fleet-bridge"), "--check-config"]).stdout
    loaded = tmp_path / "loaded"
    loaded.mkdir()
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
    (loaded / "boot_id").write_text(boot)
    process = start(hidden_proc(program("fleet-broker"), "--listen", "127.0.0.1:0",
                                "--state-directory", tmp_path / "state"),
                    environment={"CREDENTIALS_DIRECTORY": str(loaded)})
    port = int(process.wait_for(r"listening.*:(\d+)").group(1))
    client = Client(port, "kept", clean=False).connected()
    client.subscribe("a", qos=1)
    client.disconnect()
    assert process.stop() == 0
    with sqlite3.connect(tmp_path / "state" / "broker.db") as store:
        boots = {number & 0xFFFFFFFFFFFFFFFF for (number,) in store.execute("SELECT boot FROM turn")}
    assert boots == {int(boot.replace("-", "")[:16], 16)}


def test_an_agent_starts_before_the_broker(tmp_path, start):
    process = start([program("fleet-agent"), "--state-directory", tmp_path / "state"])
    process.wait_for("ready")
    assert process.is_running()


def test_fleet_status_says_nothing_of_a_broker_of_ours(fleet_broker):
    broker = fleet_broker("[fleet]\nservice = true\nnode = \"pi\"\n")
    done = run([program("fleet"), "status", "--broker", f"mqtt://localhost:{broker.port}"])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize("daemon", DAEMONS)
def test_reload_waits_and_says_where_the_fault_is(tmp_path, start, daemon):
    file = tmp_path / f"{daemon.removeprefix('fleet-')}.toml"
    good = '[[listener]]\naddress = "127.0.0.1:0"\n' if daemon == "fleet-broker" else ""
    file.write_text(good)
    process = start([program(daemon), "--config", file, "--state-directory", tmp_path / "state"])
    process.wait_for("ready")
    command = [program(daemon), "reload", "--state-directory", tmp_path / "state"]
    drop_in = file.with_suffix(".d") / "10-log.toml"
    drop_in.parent.mkdir()
    drop_in.write_text('[log]\nlevel = "debug"\n')
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("configuration reloaded\n")
    drop_in.write_text('[log]\nlevel = "loud"\n')
    done = run(command)
    assert done.returncode == 78
    assert f"{drop_in}:2:1: log.level: must be one of" in done.stderr
    assert process.is_running()
    assert run([program(daemon), "log-level", "warning", "--state-directory",
                tmp_path / "state"]).returncode == 0
    assert process.stop() == 0
    assert not (tmp_path / "state" / "control.sock").exists()


@pytest.mark.parametrize("daemon", DAEMONS)
def test_systemd_is_told_of_a_reload_and_of_its_end(tmp_path, start, daemon):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        file = tmp_path / f"{daemon.removeprefix('fleet-')}.toml"
        file.write_text('[[listener]]\naddress = "127.0.0.1:0"\n' if daemon == "fleet-broker" else "")
        start([program(daemon), "--config", file, "--state-directory", tmp_path / "state"],
              environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})

        def until(word):
            while word not in (text := notify.recv(4096).decode()):
                pass
            return text
        until("READY=1")
        file.write_text("this is no TOML")
        assert run([program(daemon), "reload", "--state-directory", tmp_path / "state"]).returncode == 78
        # A reload that is refused ends as well.
        assert re.match(r"RELOADING=1\nMONOTONIC_USEC=\d+", until("RELOADING=1"))
        until("READY=1")


def test_the_control_socket_lies_in_the_folder_below_run(tmp_path, start):
    folder = tmp_path / "run"
    folder.mkdir()
    environment = {"RUNTIME_DIRECTORY": str(folder)}
    process = start([program("fleet-agent"), "--state-directory", tmp_path / "state"],
                    environment=environment)
    process.wait_for("ready")
    assert stat.S_IMODE(os.stat(folder / "control.sock").st_mode) == 0o660
    # As ExecReload= of a unit calls it.
    done = run([program("fleet-agent"), "reload"],
               environment={**environment, "STATE_DIRECTORY": str(tmp_path / "state")})
    assert done.returncode == 0, done.stderr
