"""Upgrades, what keeps one from being done, and the way back."""

import json
import shutil
import subprocess
import time

from fleetdeb import folders
from fleetdeb.releases import triplet

from .support import DAEMONS, OLD, changed, newest, pid, starts_of, use


def test_upgrade(results, container, both, target):
    before = pid(container, "broker")
    container.output("echo '[log]\nlevle = 1' > /etc/fleet/broker.d/50-wrong.toml")
    use(container, both, target)
    done = container.run("apt-get dist-upgrade -q -y")
    results.check("an upgrade with a configuration that is refused fails, and what runs goes on",
                  done.returncode != 0 and pid(container, "broker") == before
                  and "--allow-downgrades" in done.stdout, done.stdout[-1500:] if done.returncode == 0 else "")
    container.output("rm /etc/fleet/broker.d/50-wrong.toml")
    done = container.run("dpkg --configure -a")
    results.check("once mended, dpkg --configure -a ends it", done.returncode == 0, done.stdout[-500:]
                  if done.returncode else "")
    results.check("the daemon is the new one", pid(container, "broker") != before
                  and container.run("readlink /proc/$(systemctl show --value -p MainPID fleet-broker)/exe"
                                    ).stdout.strip() == "/usr/bin/fleet-broker")
    done = container.run(f"apt-get install -q -y --allow-downgrades fleet-broker={OLD}-1{target.suffix} "
                         f"fleet-edge={OLD}-1{target.suffix}")
    results.check("apt install fleet-broker=OLD --allow-downgrades", done.returncode == 0,
                  done.stdout[-800:] if done.returncode else "")


def test_upgrade_under_load(results, container, both, target):
    """Nothing is lost while 100 messages a second flow, and what did not change is left alone."""
    what = "an upgrade under load"
    python = folders.TREE / ".venv/bin/python"
    if not python.exists():
        return results.skip(what, "no .venv with paho-mqtt; `make deps` makes it")
    use(container, both, target)
    flow = subprocess.Popen(
        ["nsenter", "--net", "--target", str(container.leader), python,
         folders.TREE / "scripts/fleetlab/traffic.py", "127.0.0.1", "1883"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    flow.stdout.readline()
    before = {daemon: (pid(container, daemon), starts_of(container, daemon)) for daemon in DAEMONS}
    time.sleep(1)
    # apt would take all packages of a source together.
    done = container.run(
        "apt-get install -q -y -o APT::Get::Upgrade-By-Source-Package=false fleet-broker")
    time.sleep(1)
    others = [daemon for daemon in ("agent", "bridge") if pid(container, daemon) != before[daemon][0]]
    restarts = starts_of(container, "broker") - before["broker"][1]
    done_all = container.run("apt-get dist-upgrade -q -y")
    library = f"/usr/lib/{triplet('amd64')}/libsqlite3.so.0"
    container.output(
        f"f=$(readlink -f {library}) && cp -p $f $f.new && mv $f.new $f\n"
        f"dpkg-trigger --by-package=libsqlite3-0 {library} && dpkg --triggers-only -a")
    time.sleep(1)
    told = json.loads(flow.communicate(input="", timeout=60)[0])
    results.check(what, done.returncode == 0 and done_all.returncode == 0,
                  done.stdout[-800:] if done.returncode else "")
    results.check("the broker was restarted once", restarts == 1, f"{restarts}")
    results.check("those whose packages did not change run on", not others, " ".join(others))
    results.check("every message came", told["sent"] > 300 and not told["missing"],
                  f"{told['sent']} sent, {len(told['missing'])} missing")
    results.check("none of QoS 2 came twice", not told["doubled"], f"{told['doubled']} doubled")
    results.check("the broker was away for less than two seconds", told["gap"] < 2, f"{told['gap']} s")


# What takes the configuration, and then does not serve.
DYING = """#!/bin/sh
case "$*" in
*--check-config*) exit 0 ;;
*--version*) echo fleet-broker 0.1.1 ;;
*) echo "cannot go on" >&2; exit 70 ;;
esac
"""


def test_dying_version(results, container, folder, target):
    """A new version that dies at its start: apt says so, and the version before can be had again."""
    version = f"{OLD}.1-1{target.suffix}"
    made = changed(newest(target, "fleet-broker"), folder, version,
                   lambda package: (package / "usr/bin/fleet-broker").write_text(DYING))
    container.output("systemctl is-active fleet-broker")
    before = container.output("dpkg-query -W -f '${Version}' fleet-broker")
    shutil.copy(made, f"/proc/{container.leader}/root/root/dying.deb")
    # It depends on a fleet-common of the newest version.
    done = container.run("apt-get install -q -y fleet-common /root/dying.deb")
    way_back = f"apt install fleet-broker={before} --allow-downgrades"
    is_right = done.returncode != 0 and way_back in done.stdout
    results.check("a version that dies at start makes apt fail and say how to go back", is_right,
                  "" if is_right else done.stdout[-1500:])
    done = container.run(f"apt-get install -q -y --allow-downgrades fleet-broker={before}")
    results.check("the version before runs again", done.returncode == 0 and container.run(
        "systemctl is-active fleet-broker").returncode == 0, done.stdout[-800:] if done.returncode else "")
