"""What the packaging's scripts make of texts and files; the packages themselves: `make test-packages`."""

import hashlib
import shutil
import subprocess

import pytest

from fleetdeb import keyring, lint, repository, source
from fleetdeb.folders import TREE
from fleetdeb.releases import RELEASES
from fleetdeb.tell import Failure


def unit(daemon, codename):
    return source.part_of(TREE / "Packaging", f"fleet-{daemon}", "service", RELEASES[codename], {})


@pytest.mark.parametrize("daemon", source.DAEMONS)
@pytest.mark.parametrize("codename", RELEASES)
def test_a_unit_has_what_its_systemd_knows(daemon, codename):
    text = unit(daemon, codename)
    assert "@" not in text.replace("@system-service", "").replace("@privileged @resources", "")
    assert f"ExecStart=/usr/bin/fleet-{daemon} --config /etc/fleet/{daemon}.toml\n" in text
    for line in ("Type=notify", "StartLimitIntervalSec=0", "RestartPreventExitStatus=78"):
        assert f"\n{line}\n" in text
    assert ("RestartSteps=" in text) == (codename == "trixie")
    assert text.count("RestartSec=") == 1


def test_a_script_names_the_format_that_the_daemon_reads():
    def script(daemon):
        return source.part_of(TREE / "Packaging", f"fleet-{daemon}", "preinst", RELEASES["trixie"],
                              {"broker": 7})

    assert "readable=7\n" in script("broker")
    assert script("agent") is None


def test_the_changelog_is_debians():
    text = source.changelog(
        "# Changelog\n\n## 1.2.0 - unreleased\n\n### Added\n\n- A `thing` that is\n  long. " + "word " * 30
        + "\n- Another.\n\n## 1.1.0 - 2026-01-02\n\n- First.\n", RELEASES["bookworm"], "1.2.0")
    assert text.startswith("fleet (1.2.0-1~deb12+1) bookworm; urgency=medium\n\n  * A thing that is long.")
    assert max(map(len, text.splitlines())) <= 80
    assert "\n  * Another.\n" in text
    assert "fleet (1.1.0-1~deb12+1)" in text and "Fri, 02 Jan 2026 00:00:00 +0000" in text


def test_versions_of_glibc_are_compared_as_numbers():
    assert lint.version_of("2.9") < lint.version_of("2.36-9+deb12u13")


def package(folder, name, content):
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: T <t@fleet.example>\n"
        f"Description: {content}\n")
    made = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


@pytest.mark.skipif(not (shutil.which("gpg") and shutil.which("gpgv") and shutil.which("dpkg-deb")),
                    reason="no gpg, gpgv or dpkg-deb")
def test_a_repository_is_signed_and_its_files_never_change(tmp_path):
    built, repo, home = tmp_path / "built", tmp_path / "repo", tmp_path / "k"
    built.mkdir()
    package(built, "fleet-x", "one")
    with keyring.kept_in(home):
        keyring.make()
        repository.make(repo, lambda codename: built if codename == "trixie" else tmp_path / "none")
        suite = repo / "dists/trixie"
        key = repo / "fleet-archive-keyring.gpg"
        subprocess.run(["gpgv", "--keyring", key, suite / "InRelease"], check=True, capture_output=True)
        subprocess.run(["gpgv", "--keyring", key, suite / "Release.gpg", suite / "Release"], check=True,
                       capture_output=True)
        index = (suite / "main/binary-arm64/Packages").read_bytes()
        name = hashlib.sha256(index).hexdigest()
        assert (suite / f"main/binary-arm64/by-hash/SHA256/{name}").read_bytes() == index
        assert name in (suite / "InRelease").read_text()
        assert "Filename: pool/main/f/fleet/trixie/fleet-x_1_all.deb\n" in index.decode()
        package(built, "fleet-x", "other bytes of the same version")
        with pytest.raises(Failure, match="needs a new version"):
            repository.make(repo, lambda codename: built if codename == "trixie" else tmp_path / "none")
