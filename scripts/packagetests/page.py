"""docs/start/install.md, by its own commands: a web server, `sudo apt`, unattended-upgrades, pins."""

import os
import subprocess

from fleetdeb import containers, network

from . import versions
from .support import DAEMONS, blocks, pid, put, wait_for

ADDRESS = "https://packages.example/fleet"
PORT = "8000"


def test_install_page(results, tree, folder, repos, target):
    served = folder / "served"
    served.mkdir(parents=True, exist_ok=True)
    with network.Network() as lan, containers.Container("page", tree, folder) as machine:
        lan.join(machine)
        serve(served, repos["old"])
        server = subprocess.Popen(
            lan.command(["python3", "-m", "http.server", "--directory", served, "--bind", lan.address, PORT]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            first_lines(results, machine, lan)
            serve(served, repos["both"])
            machine.output("apt-get update -q")
            test_pins(results, machine, target)
            test_unattended(results, machine, target)
            test_other_architecture(results, machine)
        finally:
            server.kill()
            server.wait()


def serve(served, repository):
    link = served / "fleet"
    link.unlink(missing_ok=True)
    link.symlink_to(repository)
    # A web server tells a new file by its time, in seconds.
    for file in repository.glob("dists/*/InRelease"):
        os.utime(file)


def first_lines(results, machine, lan):
    machine.output("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*")
    prepare, install, look, *_ = blocks("start/install.md", "sh")
    wait_for(lambda: lan.run(["python3", "-c", f"import socket; socket.create_connection(('{lan.address}', "
                              f"{PORT}))"], capture_output=True).returncode == 0, 5)
    prepare = prepare.replace(ADDRESS, f"http://{lan.address}:{PORT}/fleet")
    done = machine.run(f"set -e\n{prepare}\n{install}", input="y\n")
    results.check("the install page's first lines bring fleet-edge from a web server", done.returncode == 0
                  and "online" in done.stdout, failure=done.stdout[-1500:])
    done = machine.run(f"set -e\n{look}")
    results.check("its commands to reload and to read the journal work", done.returncode == 0
                  and done.stdout.count("configuration reloaded") == 1, failure=done.stdout[-800:])


def test_pins(results, machine, target):
    policy = "apt-cache policy fleet-broker | sed -n 's/ *Candidate: //p'"
    free = machine.output(policy)
    put(machine, "/etc/apt/preferences.d/fleet", blocks("start/install.md")[1].replace("0.1.", "0.0."))
    pinned = machine.output(policy)
    machine.output("rm /etc/apt/preferences.d/fleet && sudo apt-mark hold fleet-broker")
    held = machine.output("apt-get -q -s dist-upgrade")
    machine.output("sudo apt-mark unhold fleet-broker")
    is_right = (pinned == versions.of(versions.OLD, target) != free and "Inst fleet-agent" in held
                and "Inst fleet-broker" not in held)
    results.check("a pin and a hold keep a version", is_right, failure=f"{free} {pinned}: {held}")


def test_unattended(results, machine, target):
    drop_ins = {daemon: f"/etc/fleet/{daemon}.d/50-mine.toml" for daemon in DAEMONS}
    for path in drop_ins.values():
        put(machine, path, '[log]\nlevel = "debug"\n')
    sums = f"sha256sum {' '.join(drop_ins.values())} /etc/fleet/*.toml"
    before, pids = machine.output(sums), {daemon: pid(machine, daemon) for daemon in DAEMONS}
    put(machine, "/etc/apt/apt.conf.d/52fleet", blocks("start/install.md")[0])
    done = machine.run("unattended-upgrade -v")
    installed = set(machine.output("dpkg-query -W -f '${Version}\n' 'fleet-*'").split())
    is_right = (done.returncode == 0 and versions.of(versions.OLD, target) not in installed
                and machine.output(sums) == before
                and all(pid(machine, daemon) not in ("0", pids[daemon]) for daemon in DAEMONS))
    results.check("unattended-upgrades upgrade it, and leave drop-ins alone", is_right,
                  failure=f"{installed}: {done.stdout[-1500:]}")
    old = versions.of(versions.OLD, target)
    back = next(block for block in blocks("start/install.md", "sh") if "--allow-downgrades" in block)
    done = machine.run(back.replace("VERSION", old), input="y\n")
    now = machine.output("dpkg-query -W -f '${Version} ${Status}\n' fleet-broker fleet-edge")
    is_right = done.returncode == 0 and old in now and now.count("ok installed") == 2
    results.check("its way back takes one package, and removes none", is_right, failure=now + done.stdout[-800:])


def test_other_architecture(results, machine):
    """As a 32-bit Pi sees the repository."""
    done = machine.run("dpkg --add-architecture armhf && apt-get update -q && "
                       "apt-get install -y fleet-broker:armhf")
    results.check("apt on armhf has no such package", done.returncode != 0
                  and "Unable to locate package fleet-broker:armhf" in done.stdout, failure=done.stdout[-500:])
