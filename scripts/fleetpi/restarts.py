"""What outlives a reboot and an upgrade."""

import shutil
import time

from fleetdeb import repository
from packagetests.support import DAEMONS, changed

from . import traffic
from .installed import test_running
from .lab import EDGE

SESSION, TOPIC, RETAINED = "kept", "kept/counted", "kept/retained"
COUNT = 40
# Renumbered for the upgrade; the rest stays as it is.
RENUMBERED = ["fleet-common", *(f"fleet-{daemon}" for daemon in DAEMONS)]


def is_retained(pi):
    return pi.run(f"fleet sub --retained-only {RETAINED}").stdout.strip() == "stands"


def pids(pi):
    units = " ".join(f"fleet-{daemon}" for daemon in DAEMONS)
    return pi.output(f"systemctl show --value -p MainPID {units}").split()


def test_reboot(results, pi):
    """Returns the numbers that now wait for the session."""
    pi.output(f"fleet pub -r {RETAINED} stands")
    traffic.subscribe(EDGE, SESSION, "kept/counted")
    waiting = traffic.publish(EDGE, TOPIC, 0, COUNT)
    pi.reboot()
    results.check("the Pi boots", pi.state == "running", f"{pi.boot_seconds:.0f} s", pi.state)
    test_running(results, pi, "after the reboot")
    results.check("the retained message stands", is_retained(pi))
    begin, told = time.monotonic(), ""
    while time.monotonic() < begin + 60 and "online" not in told:
        told = pi.run("fleet status").stdout
    results.check("fleet status shows this machine", "online" in told, failure=told)
    return waiting


def test_upgrade(results, pi, shipped, repo, folder, waiting):
    """To the same packages of a higher version."""
    waiting = waiting + traffic.publish(EDGE, TOPIC, 1000, COUNT)
    version = pi.output("dpkg-query -W -f '${Version}' fleet-broker")
    newer = version.replace("-1~", "-2~")
    shutil.rmtree(folder, ignore_errors=True)
    for name in RENUMBERED:
        package, = [*shipped.glob(f"{name}_*_arm64.deb"), *shipped.glob(f"{name}_*_all.deb")]
        changed(package, folder, newer, lambda _: None)
    repository.make(repo, lambda codename: folder if codename == "trixie" else folder / "none")
    before = pids(pi)
    begin = time.monotonic()
    done = pi.run("sudo apt update && sudo apt upgrade", timeout=600)
    installed = pi.output("dpkg-query -W -f '${Version}' fleet-broker")
    results.check(f"sudo apt upgrade, {version} to {newer}", done.returncode == 0 and installed == newer,
                  f"{time.monotonic() - begin:.0f} s", done.stdout[-2000:])
    results.check("each daemon is a new process", not set(before) & set(pids(pi)))
    test_running(results, pi, "after the upgrade")
    results.check("the retained message stands", is_retained(pi))
    traffic.check_all_there(results, "what waited in a session across reboot and upgrade is there", waiting,
                            traffic.collect(EDGE, SESSION))
