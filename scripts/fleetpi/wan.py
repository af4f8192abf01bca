"""A bad link to the cloud, then none, then the bad one again: every message has to arrive."""

import json
import time

from fleetlab.processes import Process, is_listening, system_program, wait_until

from . import lab, traffic
from .lab import CLOUD, EDGE, WAN
from .system import HOST_NAME

TOPIC = f"fleet/v1/home/{HOST_NAME}/m/counted"
SESSION = "cloud"
RATE = 40
BAD_SECONDS, CUT_SECONDS = 12, 15
PATIENCE = 180
# Each way.
BAD = "netem delay 150ms 50ms loss 5% duplicate 2%"
SHAPE = f"""
tc qdisc add dev eth1 root {BAD}
ip link add ifb0 type ifb && ip link set ifb0 up
tc qdisc add dev eth1 ingress
tc filter add dev eth1 parent ffff: matchall action mirred egress redirect dev ifb0
tc qdisc add dev ifb0 root {BAD}
"""


def cloud(folder):
    """Debian's Mosquitto at the other end of the link."""
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener 1883 {WAN.host}\nallow_anonymous true\nuser root\nmax_queued_messages 0\n")
    return Process([system_program("mosquitto"), "-c", configuration])


def bridge_queue(pi):
    """How many messages wait in the bridge, as it says itself; None while it does not."""
    told = pi.run("fleet sub --retained-only 'fleet/v1/home/+/service/bridge'").stdout
    try:
        return json.loads(told)["counters"]["queue"]
    except (ValueError, KeyError):
        return None


def test_wan(results, pi, folder):
    broker = cloud(folder)
    try:
        wait_until(lambda: is_listening(1883, WAN.host), "the cloud's broker")
        traffic.subscribe(CLOUD, SESSION, "fleet/v1/home/+/m/counted")
        done = pi.run(f"fleet-bridge upstream add mqtt://{CLOUD}")
        results.check("fleet-bridge upstream add", done.returncode == 0, failure=done.stdout)
        pi.output(SHAPE)
        test_outage(results, pi)
    finally:
        broker.stop()


def test_outage(results, pi):
    with traffic.Publisher(EDGE, TOPIC, 0, RATE) as publisher:
        time.sleep(BAD_SECONDS)
        before = len(publisher.acknowledged)
        lab.ip(f"link set {WAN.device} down")
        time.sleep(CUT_SECONDS)
        taken = len(publisher.acknowledged) - before
        results.check("the edge takes messages while the link is cut", taken > RATE,
                      f"{taken} in {CUT_SECONDS} s")
        queued = bridge_queue(pi)
        results.check("the bridge keeps them", bool(queued), f"{queued} wait")
        lab.ip(f"link set {WAN.device} up")
        back = time.monotonic()
        time.sleep(BAD_SECONDS)
        acknowledged = publisher.stop()
    try:
        wait_until(lambda: bridge_queue(pi) == 0, "the bridge's queue to empty", PATIENCE)
        detail = f"empty {time.monotonic() - back:.0f} s after the link was back"
    except TimeoutError as failure:
        detail = str(failure)
    found = traffic.collect(CLOUD, SESSION)
    lost = sorted(set(acknowledged) - set(found))
    # A bridge forwards at QoS 1.
    doubled = sum(1 for count in found.values() if count > 1)
    results.check("every message is in the cloud", acknowledged and not lost,
                  f"{len(acknowledged)} acknowledged at the edge, {len(lost)} missing, {doubled} came twice; "
                  f"{detail}")
