"""Fixtures of the end-to-end tests: real binaries on free loopback ports in temporary folders."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from fleetlab.brokers import FleetBroker, Mosquitto  # noqa: E402
from fleetlab.certificates import CertificateAuthority  # noqa: E402
from fleetlab.namespace import NetworkNamespace  # noqa: E402
from fleetlab.processes import Process, run  # noqa: E402

import faults  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "long: `make ci-long` runs it again, and much more of it")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certification authority for the whole run."""
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def server_keys(authority):
    """(certificate, key) of a server called localhost, at 127.0.0.1."""
    return authority.issue("server")


@pytest.fixture
def started():
    """Things to end when the test ends: append whatever has stop() or close()."""
    things = []
    yield things
    for thing in reversed(things):
        (thing.stop if hasattr(thing, "stop") else thing.close)()


@pytest.fixture
def fleet_broker(tmp_path, started):
    """Starts a fleet-broker: fleet_broker(configuration="", listen="127.0.0.1:0")."""
    def start(configuration="", **options):
        broker = FleetBroker(tmp_path / f"broker-{len(started)}", configuration, **options)
        started.append(broker)
        return broker
    return start


@pytest.fixture
def mosquitto(tmp_path, started):
    """Starts Debian's Mosquitto: mosquitto(lines="allow_anonymous true")."""
    def start(lines="allow_anonymous true\n", **options):
        broker = Mosquitto(tmp_path / f"mosquitto-{len(started)}", lines, **options)
        started.append(broker)
        return broker
    return start


@pytest.fixture
def start(started):
    """Starts any program: start([path, argument, ...]) -> Process."""
    def start_program(arguments, **options):
        process = Process(arguments, **options)
        started.append(process)
        return process
    return start_program


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder]).returncode:
        pytest.skip("no file system can be mounted here; run as root")
    yield folder
    # Programs that still use it end after this; it goes with the last of them.
    run(["umount", "--lazy", folder])


@pytest.fixture(scope="session")
def faults_library(tmp_path_factory):
    """The library of faults.py, compiled once."""
    return faults.build(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def faulty_broker(fleet_broker, faults_library, tmp_path):
    """faulty_broker(configuration) -> (broker, faults): a broker whose disk and power a test holds."""
    def start(configuration):
        held = faults.Faults(faults_library, tmp_path)
        return fleet_broker(configuration, environment=held.environment), held
    return start


@pytest.fixture
def network_namespace():
    """network_namespace(ipv6=True) -> a namespace with only loopback; made and deleted here."""
    made = []

    def make(ipv6=True):
        namespace = NetworkNamespace(ipv6)
        made.append(namespace)
        return namespace
    yield make
    for namespace in made:
        namespace.close()
