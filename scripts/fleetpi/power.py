"""Power cuts under load: what was acknowledged before the cut has to be there after it."""

import random
import time

from . import traffic
from .lab import EDGE

CUTS = 3
# Seconds of load before a cut.
LOAD = (4, 8)
RATE = 80
SESSION, TOPIC = "power", "power/counted"
# Of the fleet protocol's events each is kept, whatever the durability of the rest.
EVENTS_SESSION, EVENTS_TOPIC = "events", "fleet/v1/home/gate/event/counted"
DROP_IN = "/etc/fleet/broker.d/50-power.toml"


def test_power_cuts(results, pi):
    chance = random.Random(5)
    traffic.subscribe(EDGE, SESSION, TOPIC)
    traffic.subscribe(EDGE, EVENTS_SESSION, EVENTS_TOPIC)
    pi.write(DROP_IN, 'durability = "power"\n')
    pi.output("systemctl restart fleet-broker")
    for number in range(CUTS):
        acknowledged, told = cut_under_load(pi, chance, {TOPIC: number * 100_000})
        check_after(results, pi, f"power cut {number + 1} of {CUTS + 1}, durability = \"power\"", SESSION,
                    acknowledged[TOPIC], told)
    pi.output(f"rm {DROP_IN}; systemctl restart fleet-broker; sync")
    acknowledged, told = cut_under_load(pi, chance, {TOPIC: 10_000_000, EVENTS_TOPIC: 20_000_000})
    check_after(results, pi, f"power cut {CUTS + 1} of {CUTS + 1}, durability = \"process\": events", EVENTS_SESSION,
                acknowledged[EVENTS_TOPIC], told)
    lost = set(acknowledged[TOPIC]) - set(traffic.collect(EDGE, SESSION))
    done = pi.run("systemctl stop fleet-broker; fleet-broker store check; told=$?; systemctl start fleet-broker; "
                  "ls /var/lib/fleet/broker | grep corrupt; exit $told")
    results.check("the broker's store is sound, none was put aside",
                  done.returncode == 0 and "corrupt" not in done.stdout,
                  f"of other messages {len(lost)} of {len(acknowledged[TOPIC])} went with the last cut, as they may",
                  done.stdout)


def cut_under_load(pi, chance, topics):
    """({topic: numbers that were acknowledged before the cut}, what became of the disk's writes)."""
    publishers = {topic: traffic.Publisher(EDGE, topic, first, RATE / len(topics))
                  for topic, first in topics.items()}
    try:
        for publisher in publishers.values():
            publisher.wait_for(20)
        time.sleep(chance.uniform(*LOAD))
        told = pi.cut_power()
    finally:
        for publisher in publishers.values():
            publisher.kill()
    pi.start()
    return {topic: publisher.acknowledged for topic, publisher in publishers.items()}, told


def check_after(results, pi, what, session, acknowledged, told):
    results.check(f"{what}: the Pi boots, and no unit has failed", pi.state == "running",
                  f"{pi.boot_seconds:.0f} s; of the writes that waited {told['kept']} kept, {told['lost']} lost, "
                  f"{told['torn']} torn", pi.state)
    traffic.check_all_there(results, f"{what}: what was acknowledged is there", acknowledged,
                            traffic.collect(EDGE, session))
