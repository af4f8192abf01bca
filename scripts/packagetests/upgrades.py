"""Upgrades, what keeps one from being done, and the way back."""

import shutil

from .support import changed, newest, pid, use
from .versions import OLD, of


def test_upgrade(results, container, both, target):
    before = pid(container, "broker")
    container.output("echo '[log]\nlevle = 1' > /etc/fleet/broker.d/50-wrong.toml")
    use(container, both, target)
    done = container.run("apt-get dist-upgrade -q -y")
    results.check("an upgrade with a configuration that is refused fails, and what runs goes on",
                  done.returncode != 0 and pid(container, "broker") == before
                  and "--allow-downgrades" in done.stdout, failure=done.stdout[-1500:])
    container.output("rm /etc/fleet/broker.d/50-wrong.toml")
    done = container.run("dpkg --configure -a")
    results.check("once mended, dpkg --configure -a ends it", done.returncode == 0, failure=done.stdout[-500:])
    results.check("the daemon is the new one", pid(container, "broker") != before
                  and container.run("readlink /proc/$(systemctl show --value -p MainPID fleet-broker)/exe"
                                    ).stdout.strip() == "/usr/bin/fleet-broker")
    done = container.run(f"apt-get install -q -y --allow-downgrades fleet-broker={of(OLD, target)}")
    results.check("apt install fleet-broker=OLD --allow-downgrades", done.returncode == 0,
                  failure=done.stdout[-800:])


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
    version = of(f"{OLD}.1", target)
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
                  failure=done.stdout[-1500:])
    done = container.run(f"apt-get install -q -y --allow-downgrades fleet-broker={before}")
    results.check("the version before runs again", done.returncode == 0 and container.run(
        "systemctl is-active fleet-broker").returncode == 0, failure=done.stdout[-800:])
