"""Counted messages: who publishes them to the virtual Pi, and what of them is there in the end."""

import collections
import pathlib
import subprocess
import tempfile
import time

from fleetdeb.tell import Failure
from packagetests.support import PYTHON, has_clients

PROGRAM = pathlib.Path(__file__).with_name("clients.py")
PATIENCE = 120


def missing():
    """Why there are no clients here, or None."""
    return None if has_clients() else "no .venv with paho-mqtt; `make deps` makes it"


def start(*arguments, **options):
    return subprocess.Popen([PYTHON, PROGRAM, *map(str, arguments)], text=True, **options)


def subscribe(address, session, topic_filter):
    """Makes a session that keeps what comes while nobody is connected to it."""
    if start("subscribe", address, session, topic_filter).wait(PATIENCE) != 0:
        raise Failure(f"nobody can subscribe at {address}")


def collect(address, session, quiet=3):
    """The numbers that wait for the session, each with how often it came."""
    told, _ = start("collect", address, session, quiet, stdout=subprocess.PIPE).communicate(timeout=PATIENCE)
    return collections.Counter(map(int, told.split()))


class Publisher:
    """Publishes numbers from `first` on, half of them at QoS 1, half at QoS 2, until it is stopped or killed."""

    def __init__(self, address, topic, first, rate=50):
        self.output = tempfile.TemporaryFile("w+")
        self.process = start("publish", address, rate, topic, first, stdin=subprocess.PIPE, stdout=self.output)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def acknowledged(self):
        self.output.seek(0)
        # The last line may be half written.
        return [int(line) for line in self.output.read().split("\n")[:-1]]

    def wait_for(self, count):
        """Until so many are acknowledged."""
        end = time.monotonic() + PATIENCE
        while len(self.acknowledged) < count:
            if time.monotonic() > end or self.process.poll() is not None:
                raise Failure(f"{len(self.acknowledged)} of {count} messages were acknowledged")
            time.sleep(0.1)

    def stop(self):
        """No more of them; returns the numbers that are acknowledged, which are all."""
        self.process.communicate(timeout=PATIENCE)
        return self.acknowledged

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def publish(address, topic, first, count):
    with Publisher(address, topic, first) as publisher:
        publisher.wait_for(count)
        return publisher.stop()


def check_all_there(results, what, acknowledged, found, detail=""):
    """Each that was acknowledged came, and none of QoS 2 twice."""
    lost = sorted(set(acknowledged) - set(found))
    doubled = sorted(number for number, count in found.items() if number % 2 and count > 1)
    results.check(what, acknowledged and not lost and not doubled, "; ".join(filter(None, [
        f"{len(acknowledged)} acknowledged, {len(lost)} missing, {len(doubled)} of QoS 2 doubled",
        f"missing {lost[:5]}" if lost else "", f"doubled {doubled[:5]}" if doubled else "", detail])))
