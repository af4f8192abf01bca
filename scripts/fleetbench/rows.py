"""The rows of the table: how each is measured, and what is asked of it."""

import dataclasses
import statistics
import time

from . import machine
from .brokers import NotOffered, Setup
from .load import Lost

RUNS = 3


@dataclasses.dataclass(frozen=True)
class Aim:
    """What is asked: a share of a peer's figure, or a figure. The floor is the least that will do."""
    aim: float
    floor: float
    of: str | None = None          # "best", "flashmq", "mosquitto", "debian"; None: a figure
    more_is_better: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    title: str
    unit: str
    measure: callable              # (bench, broker, setup) -> figure, or {name: figure}
    setup: Setup = Setup()
    aim: Aim | None = None         # None: it is printed and not judged
    part: str | None = None        # which of the figures; rows of one key share their runs
    peers: bool = True
    runs: int = RUNS


def flow(**options):
    """CPU microseconds of the broker a delivered message."""
    arguments = [text for name, value in options.items()
                 for text in (f"--{name.replace('_', '-')}", value)]

    def measure(bench, broker, setup):
        return bench.run(broker, setup, "flow", arguments)["cpu"]
    return measure


def ping_pong(bench, broker, setup):
    figures = bench.run(broker, setup, "ping", ["--rounds", 20_000])
    return {"p50": figures["p50"], "p99": figures["p99"], "CPU": figures["cpu"]}


def idle_memory(bench, broker, setup):
    with bench.running(broker, setup) as process:
        return machine.settled_memory(process.pid)


def crowd(count):
    """Connects `count` clients that stay: bytes of memory for each, and how many a second."""
    def measure(bench, broker, setup):
        setup = dataclasses.replace(setup, connections=count + 100)
        if not machine.allow_descriptors(count + 1000):
            raise NotOffered([f"no {count} descriptors; raise the hard limit (ulimit -Hn)"])
        with bench.running(broker, setup) as process:
            before = machine.settled_memory(process.pid)["pss"]
            spent = machine.cpu_seconds(process.pid)
            with bench.load(broker, process, setup, "crowd", ["--connections", count]) as load:
                load.ready()
                figures = load.finish()
                spent = machine.cpu_seconds(process.pid) - spent
                after = machine.settled_memory(process.pid)["pss"]
                return {"bytes": (after - before) / count, "rate": count / figures["seconds"],
                        "core rate": count / spent}
    return measure


def start_to_listening(bench, broker, setup):
    """Milliseconds from exec until a connection is accepted, the best of some; not the first start,
    which makes the state folder's files."""
    times = []
    for _ in range(6):
        process, seconds = broker.start_at_once(setup)
        times.append(seconds * 1000)
        process.stop(60)
        setup = dataclasses.replace(setup, keeps_state=True)
    return min(times[1:])


def start_with_retained(count):
    """The same with `count` retained messages in the store, which the broker was given before."""
    def measure(bench, broker, setup):
        setup = dataclasses.replace(setup, retained=count)
        with bench.running(broker, setup) as process, \
                bench.load(broker, process, setup, "retain", ["--retained", count]) as load:
            load.ready()
            load.finish()
        return start_to_listening(bench, broker, dataclasses.replace(setup, keeps_state=True))
    return measure


def match(filters, seed=1, messages=400_000):
    """CPU microseconds a publish, random over 200,000 topics."""
    def measure(bench, broker, setup):
        setup = dataclasses.replace(setup, subscriptions=filters)
        figures = bench.run(broker, setup, "match", [
            "--filters", filters, "--seed", seed, "--messages", messages])
        return figures["spent"] / messages
    return measure


def match_both(bench, broker, setup):
    few, many = (match(filters)(bench, broker, setup) for filters in (1_000, 1_000_000))
    return {"1,000": few, "1,000,000": many, "difference": many - few}


def persistent(qos):
    """Persistent subscribers, a thousand messages in flight: CPU microseconds, and messages a second."""
    arguments = ["--publishers", 4, "--subscribers", 4, "--pairs", 1, "--qos", qos, "--persistent",
                 1, "--batch", 250, "--in-flight", 1000, "--messages", 200_000]

    def measure(bench, broker, setup):
        figures = bench.run(broker, setup, "flow", arguments)
        return {"CPU": figures["cpu"], "rate": figures["deliveries"] / figures["seconds"]}
    return measure


def lone_messages(bench, broker, setup):
    """Bytes written to flash for one persistent message a second."""
    count = 10
    with bench.running(broker, setup) as process, \
            bench.load(broker, process, setup, "flow", [
                "--publishers", 1, "--subscribers", 1, "--qos", 1, "--persistent", 1,
                "--batch", 1, "--messages", count, "--pause-us", 1_000_000]) as load:
        load.ready()
        time.sleep(2)
        before = machine.written_bytes(process.pid)
        load.finish()
        time.sleep(2)
        return (machine.written_bytes(process.pid) - before) / count


HALF = Aim(0.5, 0.7, "flashmq")
FLOWS = [
    Row("fan-in-0", "50 publishers to 1, QoS 0", "µs CPU",
        flow(publishers=50, qos=0, messages=400_000), aim=HALF),
    Row("fan-in-1", "50 publishers to 1, QoS 1", "µs CPU",
        flow(publishers=50, qos=1, messages=200_000), aim=HALF),
    Row("fan-out-0", "1 to 100 subscribers, QoS 0", "µs CPU",
        flow(publishers=1, subscribers=100, qos=0, messages=4_800), aim=HALF),
    Row("fan-out-1", "1 to 100 subscribers, QoS 1", "µs CPU",
        flow(publishers=1, subscribers=100, qos=1, messages=3_200), aim=HALF),
    Row("pairs-0", "50 pairs, QoS 0", "µs CPU",
        flow(publishers=50, subscribers=50, pairs=1, qos=0, messages=400_000), aim=HALF),
    Row("pairs-1", "50 pairs, QoS 1", "µs CPU",
        flow(publishers=50, subscribers=50, pairs=1, qos=1, messages=200_000), aim=HALF),
    Row("pairs-2", "50 pairs, QoS 2", "µs CPU",
        flow(publishers=50, subscribers=50, pairs=1, qos=2, messages=100_000), aim=HALF),
    Row("lone-writes", "one message a write, 50 to 1", "µs CPU",
        flow(publishers=50, qos=0, batch=1, messages=100_000), aim=Aim(0.8, 1.0, "best")),
]

PING = [
    Row("ping-pong", f"ping-pong, {part}", f"µs{' CPU' if part == 'CPU' else ''}", ping_pong,
        aim=Aim(1.0, 1.0, "mosquitto") if part != "p99" else None, part=part)
    for part in ("p50", "p99", "CPU")
]

MEMORY = [
    Row(f"memory-{key}", f"idle, {title}: {part}", "MB", idle_memory, setup, aim, part)
    for key, title, setup, aim in (
        ("plain", "plain in memory", Setup(durability="memory"), Aim(0.8, 1.0, "debian")),
        ("durable", "plain durable", Setup(durability="process"), Aim(0.8, 1.0, "debian")),
        ("tls", "durable with TLS", Setup(durability="process", tls=True),
         Aim(1.0, 1.2, "debian")))
    for part in ("resident", "anonymous", "pss")
]
MEMORY = [dataclasses.replace(row, aim=None) if row.part == "pss" else row for row in MEMORY]

CROWD = [
    Row("idle-plain", "10,000 idle connections, each", "bytes", crowd(10_000),
        aim=Aim(500, 733), part="bytes"),
    Row("idle-plain", "connections accepted a second", "1/s", crowd(10_000),
        aim=Aim(1.0, 1.0, "mosquitto", more_is_better=True), part="rate"),
    Row("idle-plain", "the same, a second of CPU", "1/s", crowd(10_000), part="core rate"),
    Row("idle-tls", "2,000 idle TLS connections, each", "bytes", crowd(2_000), Setup(tls=True),
        aim=Aim(16_384, 16_384), part="bytes", runs=1),
]

START = [
    Row("start", "start to listening", "ms", start_to_listening, aim=Aim(8, 8)),
    Row("start-retained", "the same, 1,000,000 retained", "ms", start_with_retained(1_000_000),
        Setup(durability="process"), Aim(1000, 1000), peers=False, runs=1),
]

MATCH = [
    Row("match", f"a publish matched against {part}" if part != "difference"
        else "what a million costs more", "µs CPU", match_both, peers=False, part=part,
        aim=Aim(1.0, 1.0) if part == "difference" else None)
    for part in ("1,000", "1,000,000", "difference")
]

DURABLE = [
    Row(f"persistent-{qos}-{durability}", f"persistent, QoS {qos}, {durability}: {part}",
        "µs CPU" if part == "CPU" else "1/s", persistent(qos), Setup(durability=durability),
        part=part, peers=False)
    for qos in (1, 2) for durability in ("memory", "process", "power") for part in ("CPU", "rate")
] + [
    Row(f"lone-{durability}", f"a lone message a second, {durability}", "bytes", lone_messages,
        Setup(durability=durability), peers=False, runs=1)
    for durability in ("memory", "process", "power")
]


def with_users(row):
    return dataclasses.replace(
        row, key=f"users-{row.key}", title=f"{row.title}, users and rules",
        setup=dataclasses.replace(row.setup, users=True))


def with_threads(row):
    return dataclasses.replace(
        row, key=f"threads-{row.key}", title=f"{row.title}, two threads", peers=False,
        setup=dataclasses.replace(row.setup, threads=2),
        aim=Aim(1.15, 1.15, f"row {row.key}"))


GROUPS = {
    "flow": FLOWS, "ping": PING, "memory": MEMORY, "crowd": CROWD, "start": START, "match": MATCH,
    "durable": DURABLE, "users": [with_users(row) for row in FLOWS + PING],
    "threads": [with_threads(row) for row in FLOWS if row.key != "lone-writes"],
}


def chosen(names):
    """The rows of the groups and keys named; a name's beginning is enough. All without a name."""
    rows = [row for group in GROUPS.values() for row in group]
    if not names:
        return rows
    found = []
    for name in names:
        matching = GROUPS.get(name) or [row for row in rows if row.key.startswith(name)]
        if not matching:
            raise KeyError(name)
        found += [row for row in matching if row not in found]
    return found


def medians(bench, brokers, rows):
    """{broker name: {part: figure or None}} for rows that share their runs."""
    row = rows[0]
    taken = {broker.name: [] for broker in brokers if row.peers or broker.kind == "fleet"}
    notes = {}
    for _ in range(row.runs):
        for broker in brokers:
            if broker.name not in taken or broker.name in notes:
                continue
            try:
                figures = row.measure(bench, broker, row.setup)
            except NotOffered as error:
                notes[broker.name] = f"not offered: {error.args[0][0]}"
                continue
            except (Lost, TimeoutError) as error:
                notes[broker.name] = f"failed: {error}"
                continue
            taken[broker.name].append(figures if isinstance(figures, dict) else {None: figures})
    return {name: {part: statistics.median(run[part] for run in runs) for part in runs[0]}
            if runs and name not in notes else {}
            for name, runs in taken.items()}, notes
