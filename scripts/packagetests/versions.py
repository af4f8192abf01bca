"""The versions that upgrades are tested with, and the repositories that hold them.

    OLD   the same source under a lower number
          the packages that `make deb` has made
    NEXT  the same source with one more migration in each store, as a release may bring it

A daemon of NEXT finds a store of the format before, and one of the others cannot read what NEXT leaves.
"""

import re
import shutil

from fleetdeb import folders, packages, repository, source
from fleetdeb.tell import Failure

from .support import changed

OLD = "0.0.9"
NEXT = "0.1.1"

# The new table is filled from the old ones, so that one can see that the migration had them.
MIGRATIONS = {
    "Sources/fleet-broker/Store/TurnTable.swift": "turn",
    "Sources/fleet-bridge/BridgeStore.swift": "batch",
}


def one_format_newer(tree):
    for name, table in MIGRATIONS.items():
        path = tree / name
        text, count = re.subn(
            r'("""\)\n)(        \]\))',
            r'\1            , Migration("of the test", sql: "CREATE TABLE later (id INTEGER PRIMARY KEY); '
            rf'INSERT INTO later SELECT id FROM {table}")\n\2', path.read_text())
        if count != 1:
            raise AssertionError(f"{name} has its migrations in another form; the test has to follow")
        path.write_text(text)


def make(target, folder):
    """{name: folder of a repository}: `old` has OLD alone, `both` OLD and what is tested, `next` all three;
    `debian` has what is tested, of every release.
    """
    place = folder / "packages"
    built = [next(folders.packages_folder(target.codename).glob(f"{name}_*_{arch}.deb"), None)
             for name in source.PACKAGES for arch in ("amd64", "all")]
    built = [package for package in built if package]
    if len(built) != len(source.PACKAGES):
        raise Failure(f"no amd64 packages for {target.codename}: `make deb ARCH=amd64 "
                      f"DIST={target.codename}` makes them")
    for name in (OLD, "built"):
        shutil.rmtree(place / name, ignore_errors=True)
        (place / name / target.codename).mkdir(parents=True)
    for package in built:
        shutil.copy2(package, place / "built" / target.codename)
        older(package, place / OLD / target.codename, target)
    newer(place / NEXT / target.codename, target)
    found = {}
    for name, parts in (("old", [OLD]), ("both", [OLD, "built"]), ("next", [OLD, "built", NEXT])):
        found[name] = folder / "repository" / name
        shutil.rmtree(found[name], ignore_errors=True)
        for part in parts:
            repository.make(found[name], lambda codename, part=part: place / part / codename)
    # What is built for every release.
    found["debian"] = folder / "repository/debian"
    shutil.rmtree(found["debian"], ignore_errors=True)
    repository.make(found["debian"])
    return found


def older(package, folder, target):
    """What is tested, under the lower number."""
    version = package.name.split("_")[1]

    def lower_dependencies(unpacked):
        control = unpacked / "DEBIAN/control"
        control.write_text(control.read_text().replace(version, of(OLD, target)))

    changed(package, folder, of(OLD, target), lower_dependencies)


def newer(folder, target):
    """Made anew when the source is another."""
    stamp = folder / "source"
    if not stamp.exists() or stamp.read_text() != source.digest():
        packages.make(target, "amd64", NEXT, folder, one_format_newer)
        stamp.write_text(source.digest())


def of(version, target):
    """The version of a package."""
    return f"{version}-1{target.suffix}"
