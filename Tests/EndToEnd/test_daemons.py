"""What every daemon shares: flags, configuration, version, and an orderly end."""

import re
import signal
import time

import pytest

from fleetlab.processes import ROOT, Process, program, run, wait_until

DAEMONS = ["fleet-broker", "fleet-agent", "fleet-bridge"]
VERSION = re.search(r'current = "([^"]+)"',
                    (ROOT / "Sources/FleetModel/Version.swift").read_text()).group(1)
MINIMAL = {
    "fleet-broker": '[[listener]]\naddress = "127.0.0.1:0"\n',
    "fleet-agent": 'site = "farm"\nnode = "barn-1"\n[broker]\nurl = "mqtt://127.0.0.1:1"\n',
    "fleet-bridge": 'site = "farm"\nnode = "gateway"\n[edge]\nurl = "mqtt://127.0.0.1:1"\n'
                    '[upstream]\nname = "cloud"\nurl = "mqtt://127.0.0.1:1"\n',
}
daemons = pytest.mark.parametrize("daemon", DAEMONS)


def configured(tmp_path, daemon, text):
    file = tmp_path / f"{daemon.removeprefix('fleet-')}.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", [*DAEMONS, "fleet"])
def test_version_is_the_same_everywhere(name):
    done = run([program(name), "--version"])
    assert done.returncode == 0
    assert VERSION in done.stdout and done.stderr == ""


@daemons
def test_help_names_every_flag(daemon):
    done = run([program(daemon), "--help"])
    assert done.returncode == 0 and done.stderr == ""
    for flag in ("--config", "--check-config", "--state-directory", "--version", "--help"):
        assert flag in done.stdout


@daemons
def test_an_unknown_flag_is_a_usage_error(daemon):
    done = run([program(daemon), "--confgi", "x"])
    assert done.returncode == 64
    assert "--confgi" in done.stderr and "--config" in done.stderr


@daemons
def test_an_unknown_key_is_an_error_with_line_and_column(tmp_path, daemon):
    file = configured(tmp_path, daemon, MINIMAL[daemon] + "\n[log]\nlvel = 'info'\n")
    line = file.read_text().splitlines().index("lvel = 'info'") + 1
    for extra in ([], ["--check-config"]):
        done = run([program(daemon), "--config", file, *extra])
        assert done.returncode == 78, done.stderr
        assert f"{file}:{line}:1" in done.stderr and "lvel" in done.stderr
        assert "level" in done.stderr  # what was probably meant


@daemons
def test_broken_toml_is_an_error_with_line_and_column(tmp_path, daemon):
    file = configured(tmp_path, daemon, "a = 1\nb = = 2\n")
    done = run([program(daemon), "--config", file])
    assert done.returncode == 78
    assert re.search(re.escape(str(file)) + r":2:\d+", done.stderr)


@daemons
def test_a_file_in_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path, daemon):
    done = run([program(daemon), "--config", tmp_path / "nowhere" / "x.toml"])
    assert done.returncode == 78
    assert "nowhere/x.toml" in done.stderr


@daemons
def test_without_the_main_file_drop_ins_and_defaults_are_in_effect(tmp_path, daemon):
    file = tmp_path / "main.toml"
    (tmp_path / "main.d").mkdir()
    (tmp_path / "main.d" / "10-x.toml").write_text(MINIMAL[daemon] + '[log]\nlevel = "warning"\n')
    done = run([program(daemon), "--config", file, "--check-config"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"# {file}: no such file")
    assert "10-x.toml" in done.stdout.splitlines()[1]
    assert 'level = "warning"' in done.stdout


@daemons
def test_a_drop_in_is_checked_before_it_is_there(tmp_path, daemon):
    file = configured(tmp_path, daemon, MINIMAL[daemon])
    folder = tmp_path / f"{file.stem}.d"
    folder.mkdir()
    (folder / "10-log.toml").write_text('[log]\nlevel = "debug"\n')
    (folder / "20-log.toml").write_text('[log]\nformat = "json"\n')
    new = tmp_path / "new"
    check = [program(daemon), "--config", file, "--check-config", "--drop-in"]
    new.write_text('[log]\nlevel = "warning"\n')
    done = run([*check, f"10-log.toml={new}"])
    assert done.returncode == 0, done.stderr
    # In the place of the one that is there, and said to be it; the others stay.
    assert re.search(rf'level = "warning" +# {folder}/10-log.toml:2:1', done.stdout)
    assert 'format = "json"' in done.stdout
    new.write_text('[log]\nlevel = "loud"\n')
    done = run([*check, f"30-new.toml={new}"])
    assert done.returncode == 78 and f"{folder}/30-new.toml:2:1: log.level" in done.stderr
    assert run([*check, f"30-new.toml={tmp_path}/nothing"]).returncode == 78
    for wrong in ("30-new", f"x/30-new.toml={new}", f"new={new}"):
        assert run([*check, wrong]).returncode == 64
    assert run([program(daemon), "--config", file, "--drop-in", f"30-new.toml={new}"]).returncode == 64


def test_a_drop_in_changes_one_listener_and_adds_another(tmp_path):
    file = configured(tmp_path, "fleet-broker",
                      '[[listener]]\nname = "lan"\naddress = "127.0.0.1:1"\nconnections = 5\n')
    (tmp_path / "broker.d").mkdir()
    drop_in = tmp_path / "broker.d" / "10-lan.toml"
    drop_in.write_text('[[listener]]\nname = "lan"\naddress = "127.0.0.1:2"\n'
                       '[[listener]]\naddress = "127.0.0.1:3"\n')
    done = run([program("fleet-broker"), "--config", file, "--check-config"])
    assert done.returncode == 0, done.stderr
    assert re.findall(r'^address = "(\S+)" +# (\S+)$', done.stdout, re.M) == [
        ("127.0.0.1:2", f"{drop_in}:3:1"), ("127.0.0.1:3", f"{drop_in}:5:1")]
    assert re.search(rf"connections = 5 +# {file}:4:1", done.stdout)
    drop_in.write_text('[[listener]]\nname = "lan"\nconnections = 0\n')
    done = run([program("fleet-broker"), "--config", file, "--check-config"])
    assert done.returncode == 78
    assert f"{drop_in}:3:1: listener.connections: " in done.stderr


@daemons
def test_check_config_prints_where_each_value_came_from(tmp_path, daemon):
    file = configured(tmp_path, daemon, MINIMAL[daemon] + '\n[log]\nlevel = "info"\n')
    folder = tmp_path / f"{file.stem}.d"
    folder.mkdir()
    (folder / "10-first.toml").write_text('[log]\nlevel = "debug"\n')
    (folder / "20-second.toml").write_text('[log]\nlevel = "warning"\n')
    (folder / "ignored.txt").write_text("this is no TOML")
    done = run([program(daemon), "--config", file, "--check-config"])
    assert done.returncode == 0, done.stderr
    # The last drop-in wins, and the output says so.
    line = next(line for line in done.stdout.splitlines() if "level" in line)
    assert "warning" in line and "20-second.toml:2:1" in line
    assert "default" in done.stdout


@daemons
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order_within_a_second(tmp_path, started, daemon, number):
    file = configured(tmp_path, daemon, MINIMAL[daemon])
    process = Process([program(daemon), "--config", file, "--state-directory", tmp_path / "state"])
    started.append(process)
    process.wait_for("listening|connect|refused|started|ready")
    begin = time.monotonic()
    process.signal(number)
    assert process.wait(5) == 0, process.output
    assert time.monotonic() - begin < 1.0


@daemons
def test_a_second_daemon_on_the_same_state_is_refused(tmp_path, started, daemon):
    file = configured(tmp_path, daemon, MINIMAL[daemon])
    command = [program(daemon), "--config", file, "--state-directory", tmp_path / "state"]
    first = Process(command)
    started.append(first)
    first.wait_for("listening|connect|refused|started|ready")
    second = run(command)
    assert second.returncode != 0
    assert str(tmp_path / "state") in second.stderr


@daemons
def test_ready_and_stopping_are_told_to_systemd(tmp_path, started, daemon):
    import socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        file = configured(tmp_path, daemon, MINIMAL[daemon])
        process = Process(
            [program(daemon), "--config", file, "--state-directory", tmp_path / "state"],
            environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        started.append(process)
        told = ""
        while "READY=1" not in told:
            told += notify.recv(4096).decode()
        process.stop()
        while "STOPPING=1" not in told:
            told += notify.recv(4096).decode()


def test_the_broker_takes_a_listen_flag_over_the_file(tmp_path, fleet_broker):
    broker = fleet_broker('[[listener]]\naddress = "127.0.0.1:1"\n', listen="127.0.0.1:0")
    assert broker.port != 1


def test_without_configuration_the_broker_serves_loopback_on_1883(tmp_path, network_namespace):
    """In a network namespace of its own, so that nobody else has the port."""
    inside = network_namespace()
    process = Process(inside.command([program("fleet-broker"), "--state-directory",
                                      tmp_path / "state"]), name="fleet-broker")
    try:
        process.wait_for(r"listening.*127\.0\.0\.1:1883")
        process.wait_for(r"listening.*\[::1\]:1883")
        sockets = run(inside.command(["ss", "-Hltn"])).stdout.splitlines()
        assert sorted(line.split()[3] for line in sockets) == ["127.0.0.1:1883", "[::1]:1883"]
    finally:
        process.stop()


def test_a_machine_without_ipv6_is_no_error(tmp_path, network_namespace):
    inside = network_namespace(ipv6=False)
    process = Process(inside.command([program("fleet-broker"), "--state-directory",
                                      tmp_path / "state"]), name="fleet-broker")
    try:
        process.wait_for(r"listening.*127\.0\.0\.1:1883")
        wait_until(lambda: "127.0.0.1:1883" in run(inside.command(["ss", "-Hltn"])).stdout,
                   "the listener")
        assert process.is_running()
    finally:
        process.stop()


def test_a_port_that_is_taken_is_an_error_that_names_it(tmp_path, fleet_broker):
    broker = fleet_broker()
    done = run([program("fleet-broker"), "--listen", f"127.0.0.1:{broker.port}",
                "--state-directory", tmp_path / "other"])
    assert done.returncode != 0
    assert f"127.0.0.1:{broker.port}" in done.stderr and "in use" in done.stderr
