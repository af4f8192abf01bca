"""Upgrades of a fleet: one that is well, and one that is not."""

import shutil

from fleetdeb import repository
from packagetests.support import changed, newest

from .scenario import NODES, pids, recap

PACKAGES = ["fleet-broker", "fleet-agent", "fleet-bridge", "fleet-cli"]

# Says that it serves, and dies a while later: apt is content with it.
DIES_LATER = """#!/bin/sh
case "$*" in
--config\\ /etc/fleet/agent.toml) (sleep 4; kill -KILL $$) & ;;
esac
exec /usr/libexec/fleet-agent "$@"
"""


def publish(machines, version, change=lambda name, package: None):
    """A version of all packages in the repository, of the same programs after `change`."""
    place = machines.folder / "packages" / version
    for name in PACKAGES:
        changed(newest(machines.target, name), place / machines.target.codename, f"{version}-1{machines.target.suffix}",
                lambda package, name=name: change(name, package))
    repository.make(machines.repository, lambda codename: place / codename)


def versions(machine):
    told = machine.output("dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n' 'fleet-*'")
    return {words[1]: words[2] for words in map(str.split, told.splitlines()) if words[0] == "ii"}


def test_upgrade(results, machines):
    publish(machines, "0.2.0")
    done = machines.playbook("upgrade")
    told = {name: set(version for package, version in versions(machines.machines[name]).items() if package in PACKAGES)
            for name in NODES}
    wanted = {f"0.2.0-1{machines.target.suffix}"}
    is_right = done.returncode == 0 and all(told[name] == wanted for name in NODES)
    results.check("upgrade of three machines, one first", is_right, f"{done.seconds:.0f} s" if is_right
                  else f"{told} {done.stdout[-3000:]}")
    done = machines.playbook("upgrade")
    is_right = done.returncode == 0 and not any(changes for changes, _ in recap(done.stdout).values())
    results.check("where there is nothing newer it changes nothing", is_right,
                  f"{done.seconds:.0f} s" if is_right else done.stdout[-2000:])


def test_dying_version(results, machines):
    def change(name, package):
        if name == "fleet-agent":
            program = package / "usr/libexec/fleet-agent"
            program.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(package / "usr/bin/fleet-agent", program)
            (package / "usr/bin/fleet-agent").write_text(DIES_LATER)
            (package / "usr/bin/fleet-agent").chmod(0o755)

    publish(machines, "0.3.0", change)
    before = {name: (versions(machines.machines[name]), pids(machines.machines[name], ["agent"])) for name in NODES}
    first, *others = sorted(NODES)
    done = machines.playbook("upgrade")
    results.check("a version that dies after its start fails, and the upgrade stops there",
                  done.returncode != 0 and set(recap(done.stdout)) == {first}, f"{done.seconds:.0f} s"
                  if done.returncode else done.stdout[-3000:])
    now = {name: (versions(machines.machines[name]), pids(machines.machines[name], ["agent"])) for name in NODES}
    results.check("that machine has the version before again, and works",
                  now[first][0] == before[first][0]
                  and machines.machines[first].run("systemctl is-active fleet-agent").returncode == 0
                  and "has its version before again" in done.stdout,
                  "" if now[first][0] == before[first][0] else f"{now[first][0]} {done.stdout[-3000:]}")
    results.check("the others were not touched", all(now[name] == before[name] for name in others))
