"""What can be said of the collection without a machine."""

import os
import pathlib
import re
import subprocess
import tempfile

from .machines import COLLECTION, ENVIRONMENT, collections


def run(command, folder=COLLECTION, environment=None):
    """subprocess.run of a program of ansible's, without a network; both streams in `stdout`."""
    return subprocess.run(
        ["unshare", "--net", "nice", "-n", "5", *map(str, command)], cwd=folder,
        env={**os.environ, "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
             "ANSIBLE_COLLECTIONS_PATH": str(collections()), "NO_COLOR": "1", **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_lint(results):
    done = run(["ansible-lint", "--offline", "--profile", "production"])
    told = re.search(r"Passed: .*? processed", done.stdout)
    results.check("ansible-lint, production profile, without a network", done.returncode == 0 and told,
                  told[0] if told else done.stdout[-1500:])


def test_filters(results):
    done = run([ENVIRONMENT / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"])
    results.check("the filters", done.returncode == 0, done.stdout.splitlines()[-1].strip("= ")
                  if done.returncode == 0 else done.stdout[-1500:])


def test_documentation(results):
    for role in ("broker", "agent", "bridge", "cli", "repository"):
        done = run(["ansible-doc", "--type", "role", f"fleet.edge.{role}"])
        if done.returncode or f"{role}_" not in done.stdout:
            return results.check("ansible-doc shows each role's variables", False, done.stdout[-500:])
    results.check("ansible-doc shows each role's variables", True)


def test_tarball(results):
    """As docs/operate/ansible.md installs it, and with nothing else."""
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        built = run(["ansible-galaxy", "collection", "build", COLLECTION, "--output-path", place], place)
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(place), "ANSIBLE_HOME": str(place / "home")}
        done = run(["ansible-galaxy", "collection", "install", "--offline", "--collections-path", place,
                    *place.glob("fleet-edge-*.tar.gz")], place, environment)
        listed = run(["ansible-playbook", "fleet.edge.site", "--list-tasks", "--inventory",
                      COLLECTION / "examples/home/inventory.yml"], place, environment)
        is_right = not (built.returncode or done.returncode or listed.returncode)
        results.check("ansible-galaxy builds and installs it", is_right,
                      "" if is_right else built.stdout + done.stdout + listed.stdout[-800:])
