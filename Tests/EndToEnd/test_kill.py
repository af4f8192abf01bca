"""kill -9 under load, at random and at every commit point: nothing acknowledged is missing, no QoS 2
message comes twice, none is out of order. The seed of a failure is in its message.

The clients and what counts as a fault are in kill_campaign.py.
"""

import os
import random

import pytest

import faults as f
from kill_campaign import Campaign
from scale import IS_LONG, scaled

DURABLE = 'durability = "process"\n'
SEED = int(os.environ.get("FLEET_SEED", random.SystemRandom().randrange(1 << 30)))


def assert_flawless(result):
    print(result)
    assert not result.faults(), result


pytestmark = pytest.mark.long


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_kill_9_at_random_moments(fleet_broker, durability, threads):
    broker = fleet_broker(f'threads = {threads}\ndurability = "{durability}"\n')
    assert_flawless(Campaign(broker, SEED).run(scaled(12, 250)))


def test_kill_9_with_another_number_of_threads_each_time(fleet_broker):
    broker = fleet_broker("threads = 2\n" + DURABLE)
    campaign = Campaign(broker, SEED)
    counts = random.Random(SEED)

    def start_again():
        _, rest = broker.file.read_text().split("\n", 1)
        broker.file.write_text(f"threads = {counts.randrange(1, 5)}\n" + rest)
        broker.start()
    campaign.start_again = start_again
    assert_flawless(campaign.run(scaled(12, 100)))


def test_without_a_kill_there_is_nothing_to_find(fleet_broker):
    campaign = Campaign(fleet_broker(DURABLE), SEED)
    campaign.begin()
    campaign.run_for(scaled(1, 20))
    assert_flawless(campaign.finish())


def test_what_is_in_memory_alone_is_lost_and_that_is_found(fleet_broker):
    """The proof that the campaign finds losses."""
    result = Campaign(fleet_broker('durability = "memory"\n'), SEED).run(2, patience=1)
    assert result.faults().get("missing") and result.faults().get("sessions_lost"), result


MOMENTS = {"before": f.BEFORE, "after": f.AFTER, "in the middle of": f.TORN}


def sweep(broker, faults, kinds, moment, kills, power=False):
    """Die at one event after another; now and then already while it starts, and recovers from the
    death before."""
    campaign = Campaign(broker, SEED, window=8, sizes=(0, 50))
    chance = random.Random(SEED)

    def start_again():
        if chance.random() < 0.3:
            faults.kill_at(chance.randrange(1, 60), kinds, moment, power, chance.randrange(1 << 20))
            try:
                return broker.start()
            except RuntimeError:
                assert broker.process.child.returncode == -9, broker.process.output
                campaign.result.kills += 1
        faults.calm()
        return broker.start()
    campaign.start_again = start_again
    campaign.begin()
    for number in range(kills):
        # In a long run each of the first hundreds, else some of them by chance.
        event = number + 1 if IS_LONG else chance.randrange(1, 120)
        faults.kill_at(event, kinds, moment, power, chance.randrange(1 << 20))
        if not campaign.run_until_dead(3_000):
            campaign.kill()
    faults.calm()
    return campaign.finish()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_at_every_write_and_sync_of_the_store(faulty_broker, moment, threads):
    broker, faults = faulty_broker(f"threads = {threads}\n" + DURABLE)
    assert_flawless(sweep(broker, faults, f.WRITE | f.SYNC, MOMENTS[moment], scaled(12, 400)))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", ["send", "receive"])
def test_kill_9_before_and_after_every_packet(faulty_broker, kind, moment):
    broker, faults = faulty_broker(DURABLE)
    kinds = f.SEND if kind == "send" else f.RECEIVE
    assert_flawless(sweep(broker, faults, kinds, MOMENTS[moment], scaled(10, 400)))


def test_a_power_cut_with_torn_and_reordered_writes(faulty_broker):
    broker, faults = faulty_broker('durability = "power"\n')
    assert_flawless(sweep(broker, faults, f.WRITE | f.SYNC, f.TORN, scaled(12, 400), power=True))
