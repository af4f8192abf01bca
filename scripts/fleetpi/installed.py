"""The installation, by the page that users follow."""

import re
import time

from fleetdeb import folders
from packagetests.support import DAEMONS

from .lab import PACKAGE_SERVER

# What the page promises of `fleet status`; the emulated core is many times slower than a Pi's.
PROMISED_SECONDS, PATIENCE = 5, 60


def commands():
    """The page's commands "On a Pi": what is done once, and what installs."""
    page = (folders.TREE / "docs/start/install.md").read_text()
    section = page.split("\n## On a Pi\n")[1].split("\n## ")[0]
    once, install = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
    # The virtual Pi has no authority that would sign a certificate for such a name.
    return once.replace(f"https://{PACKAGE_SERVER}", f"http://{PACKAGE_SERVER}"), install


def test_install(results, pi):
    results.check("the Pi boots, and no unit has failed", pi.state == "running", f"{pi.boot_seconds:.0f} s",
                  pi.state)
    once, install = commands()
    begin = time.monotonic()
    done = pi.run(f"set -e\n{once}")
    trouble = re.findall(r"^(?:W|E|Err|Warning|Error): .*", done.stdout, re.M)
    results.check("docs/start/install.md: the key, the sources, apt update",
                  done.returncode == 0 and not trouble, f"{time.monotonic() - begin:.0f} s", done.stdout)
    apt, status = install.strip().splitlines()
    begin = time.monotonic()
    done = pi.run(apt, timeout=600)
    results.check(apt, done.returncode == 0, f"{time.monotonic() - begin:.0f} s", done.stdout[-2000:])
    begin, told = time.monotonic(), ""
    while time.monotonic() < begin + PATIENCE and "online" not in told:
        told = pi.run(status).stdout
    seen = time.monotonic() - begin
    results.check(f"{status} shows this machine", "online" in told,
                  f"after {seen:.1f} s on an emulated core; {PROMISED_SECONDS} s are promised on a real one", told)
    groups = pi.output("stat -c %G /dev/gpiochip*").split()
    results.check("a GPIO chip that was there before is the group gpio's", set(groups) == {"gpio"},
                  failure=" ".join(groups))
    test_running(results, pi, "after the installation")


def test_running(results, pi, when):
    """All daemons run, and no unit has failed."""
    told = pi.run("systemctl is-active " + " ".join(f"fleet-{daemon}" for daemon in DAEMONS)
                  + "; systemctl is-system-running --wait; systemctl --failed --no-legend").stdout.split()
    is_right = told == ["active"] * len(DAEMONS) + ["running"]
    why = "" if is_right else pi.run("journalctl -b --no-pager -n 30 -p warning").stdout
    results.check(f"{when}, the daemons are active and no unit has failed", is_right,
                  failure=" ".join(told) + "\n" + why)
