"""The machine under the broker's store: damage, a full disk, a disk that lies, a clock that jumps.

Named after the lines of the threat list. `kill -9` and power cuts are in test_kill.py.
"""

import os
import random
import re
import resource
import shutil
import socket
import sqlite3
import time

import pytest

import mqtt_wire as mqtt
from fleetlab.processes import Process, program, run, wait_until
from mqtt_wire import Wire
from scale import scaled
from test_kill import DURABLE, SEED

POWER = 'durability = "power"\n'
KEPT = mqtt.session_expiry(86_400)


def fill(port, messages=50, at_once=1_000):
    """A session with messages that wait for it, and retained messages; what is published at once is one
    or few turns of the store."""
    wire = Wire(port, "5")
    wire.connect("keeper", clean=False, properties=KEPT)
    wire.subscribe("waits/#", options=1)
    wire.send(mqtt.disconnect("5"))
    assert wire.rest() == []
    todo = ([(f"waits/{n}", f"waiting {n}", False) for n in range(messages)]
            + [(f"kept/{n}", f"retained {n}", True) for n in range(messages)])
    for first in range(0, len(todo), at_once):
        publish_all(port, todo[first:first + at_once])


def publish_all(port, messages):
    publisher = Wire(port, "5")
    publisher.connect("publisher")
    for topic, payload, retain in messages:
        publisher.publish(topic, payload, 1, retain=retain)
    answers = publisher.sync()
    assert all(p.kind == mqtt.PUBACK and p.code < 0x80 for p in answers), answers
    assert len(answers) == len(messages)
    publisher.send(mqtt.disconnect("5"))
    publisher.rest()


def held(port):
    """(session present, payloads that waited, payloads of retained messages)."""
    wire = Wire(port, "5")
    connack = wire.connect("keeper", clean=False, properties=KEPT)
    waiting = []
    while packets := wire.sync():
        for packet in packets:
            assert packet.kind == mqtt.PUBLISH
            waiting.append(packet.payload.decode())
            wire.send(mqtt.acknowledgement(mqtt.PUBACK, packet.packet_id))
    wire.close()
    reader = Wire(port)
    reader.connect("reader")
    reader.subscribe("kept/#")
    retained = [p.payload.decode() for p in reader.sync()]
    reader.close()
    return connack.session_present, waiting, sorted(retained)


def all_of(messages=50):
    return (True, [f"waiting {n}" for n in range(messages)],
            sorted(f"retained {n}" for n in range(messages)))


def serves(port):
    """The broker takes and keeps messages: PUBACK, and a session that is there again."""
    wire = Wire(port)
    wire.connect("round", clean=False)
    wire.subscribe("round", options=1)
    wire.publish("round", b"trip", 1)
    assert {p.kind for p in wire.sync()} == {mqtt.PUBACK, mqtt.PUBLISH}
    wire.close()


def database(broker):
    found = [file for file in broker.state.iterdir() if file.suffix == ".db"]
    assert len(found) == 1, found
    return found[0]


SEVERAL = pytest.mark.parametrize("threads", [1, 3])


def several(threads):
    return f"threads = {threads}\n"


def quarantined(broker):
    return [file for file in broker.state.iterdir() if ".corrupt-" in file.name]


@SEVERAL
def test_what_was_acknowledged_is_there_after_a_restart(fleet_broker, threads):
    broker = fleet_broker(several(threads) + DURABLE)
    fill(broker.port)
    assert broker.stop() == 0
    broker.start()
    assert held(broker.port) == all_of()


# --- a corrupt or truncated database: quarantined, reported, started anyway -----------------------

def no_database(file):
    file.write_bytes(b"this is no database\n" * 1_000)


def cut_in_half(file):
    os.truncate(file, file.stat().st_size // 2 + 100)


def cut_short(file):
    os.truncate(file, 50)


def no_header(file):
    with open(file, "r+b") as store:
        store.write(bytes(100))


@pytest.mark.parametrize("damage", [no_database, cut_in_half, cut_short, no_header],
                         ids=lambda damage: damage.__name__)
def test_a_corrupt_store_is_quarantined_and_the_broker_serves(fleet_broker, damage):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    assert broker.stop() == 0
    damage(database(broker))
    broker.start()
    broker.process.wait_for(r"error .*store")
    assert quarantined(broker), "the damaged store is kept beside the new one"
    serves(broker.port)
    # And the new one is sound.
    assert broker.stop() == 0
    broker.start()
    assert "damaged" not in broker.process.output
    serves(broker.port)


def test_a_directory_in_the_place_of_the_store_is_refused(fleet_broker):
    broker = fleet_broker(DURABLE)
    broker.stop()
    database(broker).unlink()
    (broker.state / "broker.db").mkdir()
    process = Process(broker.command)
    assert process.wait() != 0
    assert "broker.db" in process.output and "irectory" in process.output


def test_an_empty_file_is_a_new_store(fleet_broker):
    broker = fleet_broker(DURABLE)
    broker.stop()
    file = database(broker)
    os.truncate(file, 0)
    for beside in broker.state.glob(file.name + "-*"):
        beside.unlink()
    broker.start()
    serves(broker.port)


@pytest.mark.long
def test_bits_that_flip_anywhere_in_the_store(fleet_broker):
    """Whatever is damaged: the broker starts, serves, and what it still gives is what was stored."""
    chance = random.Random(SEED)
    broker = fleet_broker(DURABLE)
    # A damaged turn is lost as a whole; there are others.
    fill(broker.port, 200, at_once=10)
    broker.stop()
    file = database(broker)
    whole, (_, waiting, retained) = file.read_bytes(), all_of(200)
    salvaged = 0
    for _ in range(scaled(8, 200)):
        shutil.rmtree(broker.state)
        broker.state.mkdir(mode=0o700)
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3, 20))):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        file.chmod(0o600)
        broker.start()
        _, got_waiting, got_retained = held(broker.port)
        assert set(got_waiting) <= set(waiting) and set(got_retained) <= set(retained), SEED
        assert got_waiting == sorted(got_waiting, key=waiting.index), SEED
        salvaged += bool(got_retained or got_waiting)
        serves(broker.port)
        assert broker.stop() == 0
    assert salvaged, "what can be read is salvaged"


@SEVERAL
def test_corruption_found_while_it_runs(fleet_broker, threads):
    broker = fleet_broker(several(threads) + DURABLE)
    fill(broker.port)
    large = [(f"waits/large/{n}", f"{n} " + "x" * 6_000, False) for n in range(3_000)]
    for first in range(0, len(large), 500):
        publish_all(broker.port, large[first:first + 500])
    # A restart leaves everything in the file and nothing in the log beside it.
    broker.stop()
    broker.start()
    file = database(broker)
    with open(file, "r+b") as store:
        store.seek(65_536)
        store.write(os.urandom(file.stat().st_size - 65_536))
    # Once the session has taken its messages, what the store held of them is deleted.
    assert len(held(broker.port)[1]) == 3_050
    wait_until(lambda: touched(broker), "the damage to be found")
    broker.process.wait_for(r"error .*store is damaged")
    # Memory holds all that counts.
    assert held(broker.port) == (True, [], all_of()[2])
    serves(broker.port)
    broker.kill()
    broker.start()
    assert held(broker.port) == (True, [], all_of()[2])


def touched(broker):
    publish_all(broker.port, [("kept/0", "retained 0", True)])
    return quarantined(broker)


def test_a_store_of_a_newer_version_is_refused_and_not_touched(fleet_broker):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    broker.stop()
    file = database(broker)
    with sqlite3.connect(file) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    before = file.read_bytes()
    process = Process(broker.command)
    # What systemd does not try again.
    assert process.wait() == 78
    assert "newer" in process.output and "move the file away" in process.output
    assert file.read_bytes() == before and not quarantined(broker)
    # The copy that the newer version made before it migrated is the way back.
    copy = file.with_name(f"{file.name}.format-{version}")
    shutil.copy(file, copy)
    with sqlite3.connect(copy) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    process = Process(broker.command)
    assert process.wait() == 78
    assert f"store restore {copy}" in process.output
    assert store(broker, "restore", copy).returncode == 0
    broker.start()
    assert held(broker.port) == all_of()


def test_two_brokers_on_one_state_directory(fleet_broker):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    second = Process(broker.command)
    assert second.wait() != 0
    assert str(broker.state) in second.output
    assert "another" in second.output or "in use" in second.output, second.output
    assert held(broker.port) == all_of()


# --- a disk that is full ---------------------------------------------------------------------------

def publish_until_refused(port, payload, most=20_000):
    """Publish at QoS 1 to a kept session; returns how many were taken before the first 0x97."""
    wire = Wire(port, "5")
    wire.connect("filler")
    for number in range(most):
        wire.publish("waits/full", payload, 1)
        if number >= 20:
            answer = wire.receive()
            assert answer.kind == mqtt.PUBACK
            if answer.code:
                assert answer.code == 0x97
                wire.close()
                return number - 20
    raise AssertionError("the disk is never full")


@SEVERAL
def test_a_disk_that_is_full_refuses_publishers_and_keeps_what_it_has(
        fleet_broker, small_disk, threads):
    broker = fleet_broker(
        several(threads) + DURABLE + '[store]\nfree_disk_floor = "8MiB"\n',
        state=small_disk / "state")
    fill(broker.port)
    taken = publish_until_refused(broker.port, b"x" * 4_000)
    assert taken > 100
    # Nobody who asks for nothing of the disk is hurt.
    wire = Wire(broker.port)
    wire.connect("light")
    wire.subscribe("light")
    wire.publish("light", b"x")
    assert [p.payload for p in wire.sync()] == [b"x"]
    wire.close()
    broker.kill()
    broker.start()
    present, waiting, retained = held(broker.port)
    assert present and len(waiting) >= 50 + taken and len(retained) == 50
    # What was acknowledged made room.
    wait_until(lambda: takes(broker.port), "room for messages again")


def takes(port):
    wire = Wire(port, "5")
    wire.connect("taker")
    wire.publish("waits/again", b"x", 1)
    code = wire.receive().code
    wire.close()
    return code == 0


@SEVERAL
def test_the_store_has_a_size_cap(fleet_broker, threads):
    broker = fleet_broker(several(threads) + DURABLE + '[store]\nsize = "4MiB"\npatience = "1s"\n')
    fill(broker.port)
    taken = publish_until_refused(broker.port, b"x" * 4_000)
    assert 300 < taken < 1_200
    # Before 5.0 there is no code: such a publisher is not read for a while, then closed.
    old = Wire(broker.port)
    old.connect("old")
    old.publish("waits/old", b"x", 1)
    begin = time.monotonic()
    assert old.rest() == []
    assert time.monotonic() - begin > 0.5


# --- fsync, EIO ------------------------------------------------------------------------------------

@SEVERAL
def test_one_fsync_that_fails_and_then_succeeds(faulty_broker, threads):
    broker, faults = faulty_broker(several(threads) + POWER)
    fill(broker.port)
    wire = Wire(broker.port)
    wire.connect("publisher")
    wire.publish("waits/before", b"before", 1)
    assert wire.receive().kind == mqtt.PUBACK
    faults.fail_syncs(1)
    wire.publish("waits/during", b"during", 1)
    # Nothing is acknowledged until the store has been reopened and checked; then everything is.
    assert wire.receive().kind == mqtt.PUBACK
    broker.process.wait_for(r"(warning|error) .*store")
    wire.publish("waits/after", b"after", 1)
    assert wire.receive().kind == mqtt.PUBACK
    broker.kill()
    broker.start()
    present, waiting, retained = held(broker.port)
    assert waiting[-3:] == ["before", "during", "after"] and len(waiting) == 53
    assert len(retained) == 50


@SEVERAL
def test_a_disk_that_never_syncs_again_acknowledges_nothing(faulty_broker, threads):
    broker, faults = faulty_broker(several(threads) + POWER)
    fill(broker.port)
    faults.fail_syncs(-1)
    wire = Wire(broker.port)
    wire.connect("publisher")
    wire.publish("waits/during", b"during", 1)
    broker.process.wait_for(r"error .*store")
    with pytest.raises(TimeoutError):
        wire.receive(1)
    # Who asks for nothing of the disk is served.
    light = Wire(broker.port)
    light.connect("light")
    light.subscribe("light")
    light.publish("light", b"x")
    assert [p.payload for p in light.sync()] == [b"x"]
    faults.calm()
    wait_until(lambda: takes(broker.port), "the disk to be trusted again", 30)
    broker.kill()
    broker.start()
    present, waiting, _ = held(broker.port)
    assert present and waiting[:50] == all_of()[1]


def test_writes_that_fail_with_eio(faulty_broker):
    broker, faults = faulty_broker(DURABLE)
    fill(broker.port)
    faults.fail_writes(3)
    wire = Wire(broker.port)
    wire.connect("publisher")
    for number in range(20):
        wire.publish("waits/during", f"during {number}", 1)
    for _ in range(20):
        assert wire.receive(30).kind == mqtt.PUBACK
    broker.kill()
    broker.start()
    _, waiting, _ = held(broker.port)
    assert waiting[50:] == [f"during {n}" for n in range(20)]


# --- other things that fail ------------------------------------------------------------------------

def test_a_read_only_file_system(fleet_broker, small_disk):
    broker = fleet_broker(DURABLE, state=small_disk / "state")
    broker.stop()
    run(["mount", "-o", "remount,ro", small_disk])
    process = Process(broker.command)
    try:
        assert process.wait() != 0
        assert str(small_disk) in process.output and "read-only" in process.output.lower()
    finally:
        process.stop()
        run(["mount", "-o", "remount,rw", small_disk])


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps_by_years(faulty_broker, years):
    broker, faults = faulty_broker(DURABLE)
    fill(broker.port)
    expiring = Wire(broker.port, "5")
    expiring.connect("expiring")
    expiring.publish("waits/expiring", b"expiring", 1, properties=b"\x02" + (3_600).to_bytes(4, "big"))
    assert expiring.receive().kind == mqtt.PUBACK
    faults["clock_offset"] = years * 365 * 86_400
    serves(broker.port)
    broker.kill()
    broker.start()
    # Elapsed time counts, whatever the clock says.
    present, waiting, retained = held(broker.port)
    assert present and waiting[:50] == all_of()[1] and len(retained) == 50
    assert waiting[50:] == ["expiring"]


def test_no_memory_left(fleet_broker):
    """It may die of it; what it has acknowledged does not."""
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    pages = int(open(f"/proc/{broker.process.pid}/statm").read().split()[0])
    limit = pages * resource.getpagesize() + (24 << 20)
    resource.prlimit(broker.process.pid, resource.RLIMIT_AS, (limit, limit))
    wire = Wire(broker.port)
    wire.connect("publisher")
    acknowledged = 0
    try:
        for number in range(500):
            wire.publish("waits/many", b"%d " % number + b"x" * 100_000, 1)
            answer = wire.receive()
            if answer is None:
                break
            acknowledged += answer.kind == mqtt.PUBACK
    except (ConnectionError, TimeoutError):
        pass
    broker.kill()
    broker.start()
    _, waiting, _ = held(broker.port)
    assert len(waiting) >= 50 + acknowledged


def test_no_file_descriptors_left_for_the_store(fleet_broker):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    open_now = len(os.listdir(f"/proc/{broker.process.pid}/fd"))
    resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (open_now + 1, open_now + 1))
    wire = Wire(broker.port)
    wire.connect("publisher")
    for number in range(200):
        wire.publish("waits/more", f"more {number}", 1)
    assert [p.kind for p in wire.sync()] == [mqtt.PUBACK] * 200
    broker.kill()
    broker.start()
    _, waiting, _ = held(broker.port)
    assert len(waiting) == 250


def test_a_backup_is_taken_while_it_runs_and_is_sound(fleet_broker, tmp_path):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    copy = tmp_path / "copy.db"
    for arguments in (["backup", copy], ["check"]):
        done = run([program("fleet-broker"), "store", *arguments,
                    "--state-directory", broker.state])
        assert done.returncode == 0, done.stderr
        counts = re.findall(r"\b(\d+) (turns?|sessions?|retained messages?)\b", done.stdout)
        assert counts and all((number == "1") != noun.endswith("s") for number, noun in counts)
    broker.kill()
    shutil.rmtree(broker.state)
    broker.state.mkdir(mode=0o700)
    done = store(broker, "restore", copy)
    assert done.returncode == 0, done.stderr
    broker.start()
    assert held(broker.port) == all_of()


def store(broker, *arguments):
    return run([program("fleet-broker"), "store", *arguments, "--state-directory", broker.state])


def test_a_backup_takes_the_place_of_the_store_which_is_kept(fleet_broker, tmp_path):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    copy = tmp_path / "copy.db"
    assert store(broker, "backup", copy).returncode == 0
    publish_all(broker.port, [("waits/more", "more", False)])
    # Not under a broker that runs.
    done = store(broker, "restore", copy)
    assert done.returncode == 69 and f"in use by process {broker.process.pid}" in done.stderr
    assert broker.stop() == 0
    done = store(broker, "restore", copy)
    assert done.returncode == 0, done.stderr
    old = re.search(r"what was there is (\S+)", done.stdout).group(1)
    assert store(broker, "restore", tmp_path / "nothing").returncode != 0
    broker.start()
    assert held(broker.port) == all_of()
    assert broker.stop() == 0
    done = store(broker, "restore", old)
    assert done.returncode == 0, done.stderr
    broker.start()
    _, waiting, _ = held(broker.port)
    assert waiting[-1] == "more" and len(waiting) == 51


def test_the_format_is_told_to_scripts(fleet_broker):
    broker = fleet_broker(DURABLE)
    done = store(broker, "format")
    assert done.returncode == 0
    told = dict(line.split("=") for line in done.stdout.splitlines())
    assert told["store_format"] == told["program_format"]
    broker.stop()
    newer = int(told["program_format"]) + 1
    with sqlite3.connect(database(broker)) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    done = store(broker, "format")
    assert (done.returncode, done.stdout.splitlines()[0]) == (78, f"store_format={newer}")
    database(broker).unlink()
    assert store(broker, "format").stdout.splitlines()[0] == "store_format=none"


def test_a_start_that_takes_long_asks_systemd_for_time(fleet_broker, tmp_path):
    broker = fleet_broker(DURABLE)
    fill(broker.port)
    broker.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        broker.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        broker.start()
        told = []
        while not any("READY=1" in word for word in told):
            told.append(notify.recv(4096).decode())
    assert any(re.search(r"EXTEND_TIMEOUT_USEC=\d{8,}", word) for word in told[:-1]), told
