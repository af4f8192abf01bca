"""Debian 12 becomes Debian 13 below a running Fleet."""

import time

from fleetdeb import archives, containers, folders
from fleetdeb.releases import RELEASES

from .support import use

OLD, NEW = RELEASES["bookworm"], RELEASES["trixie"]


def test_new_debian(results, folder):
    what = "Debian 12 upgraded to 13"
    for release in (OLD, NEW):
        if not list(folders.packages_folder(release.codename).glob("fleet-broker_*_amd64.deb")):
            return results.skip(what, f"no packages for Debian {release.number}; `make deb "
                                f"DIST={release.codename}` makes them")
    system = containers.root(OLD).make()
    debs = archives.fetch("bookworm-to-trixie", system, NEW.suites, ["dist-upgrade"],
                          ["install", containers.GPIOD["trixie"]])
    with containers.Container("debian", system.path, folder / "containers",
                              [(folder / "repository/debian", "/repository"), (debs, "/debs")]) as machine:
        use(machine, "/repository", OLD)
        machine.output("apt-get install -q -y fleet-edge")
        machine.output("fleet pub -r kept/before yes && "
                       "echo '[log]\nlevel = \"debug\"' > /etc/fleet/broker.d/50-mine.toml")
        instances = machine.output("cat /var/lib/fleet/*/instance")
        use(machine, "/repository", NEW)
        machine.output("echo 'deb [trusted=yes] file:/debs ./' > /etc/apt/sources.list.d/debian.list && "
                       "apt-get update -q")
        begin = time.monotonic()
        done = machine.run("apt-get dist-upgrade -q -y", timeout=900)
        number = machine.output("cat /etc/debian_version")
        is_right = done.returncode == 0 and number.startswith("13")
        results.check(what, is_right, f"{number}, {time.monotonic() - begin:.0f} s" if is_right
                      else done.stdout[-1500:])
        installed = machine.output("dpkg-query -W -f '${Version}\n' 'fleet-*'")
        results.check("Fleet's packages are those for 13", "deb12" not in installed, installed
                      if "deb12" in installed else "")
        told = machine.run("systemctl is-active fleet-broker fleet-agent fleet-bridge; "
                           "fleet sub --retained-only -v 'kept/#'; fleet status").stdout
        is_right = (told.split()[:3] == ["active"] * 3 and "kept/before yes" in told and "online" in told
                    and machine.output("cat /var/lib/fleet/*/instance") == instances)
        results.check("the daemons run, with what they kept", is_right, failure=told)
