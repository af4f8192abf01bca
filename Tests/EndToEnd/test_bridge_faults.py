"""The bridge while something goes wrong: its end under load, a full disk, an upstream that changes."""

import json
import threading
import time

from bridge_support import LINK, SERVICE, TOPIC, in_order
from fleetlab.link import Link
from test_bridge import KEEPS_ALL, bridge, client, fake, publish_numbers, watch  # noqa: F401


class Publisher:
    """Publishes numbers at QoS 1, on and on, until it is ended."""

    def __init__(self, client):
        self._client, self._ends = client, threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ends.is_set():
            self._client.client.publish(TOPIC, str(self.sent), 1)
            self.sent += 1
            time.sleep(0.001)

    def end(self):
        self._ends.set()
        self._thread.join()
        return self.sent


def test_an_orderly_restart_under_load_repeats_nothing(mosquitto, bridge, watch, client):
    edge, cloud = mosquitto(KEEPS_ALL), mosquitto(KEEPS_ALL)
    running = bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}").connected()
    above = watch(cloud.port, TOPIC)
    publisher = Publisher(client(edge.port))
    for turn in range(3):
        before = len(above.payloads())
        above.until(lambda: len(above.payloads()) > before + 200, "messages to flow")
        assert running.stop() == 0
        running.start()
    total = publisher.end()
    above.until(lambda: len(set(above.payloads())) == total, "all messages above", 60)
    assert in_order(above.payloads())
    assert above.payloads() == [str(number) for number in range(total)]


def cut_link(started, cloud):
    link = Link(cloud.port)
    started.append(link)
    link.cut()
    return link, f'connect_to = "127.0.0.1:{link.port}"'


def test_a_full_disk_takes_nothing_more_until_the_upstream_has_made_room(
        small_disk, mosquitto, bridge, watch, client, started):
    edge, cloud = mosquitto(KEEPS_ALL), mosquitto(KEEPS_ALL)
    link, detour = cut_link(started, cloud)
    running = bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}", detour,
                     '[store]\nminimum_free_bytes = "8MiB"', name="disk/bridge").connected("edge")
    above, below, beside = watch(cloud.port, TOPIC), client(edge.port), watch(edge.port, SERVICE)
    total = 6_000
    for number in range(total):
        below.client.publish(TOPIC, f"{number:04}" + "x" * 4_000, 1)
    running.process.wait_for("not stored.*make room on the disk")
    beside.until(lambda: beside.counters().get("store_failures", 0) > 3, "repeated failures")
    assert running.process.output.count("not stored") <= 2, "each reason is said once a minute"
    running.kill()
    running.start()
    link.restore()
    above.until(lambda: len(set(above.payloads())) >= total, "all messages", 60)
    assert in_order(text[:4] for text in above.payloads())
    beside.until(lambda: beside.counters().get("queue") == 0, "an empty queue")


def test_it_ends_within_a_second_though_the_upstream_is_a_black_hole(
        mosquitto, bridge, client, watch, started):
    edge, cloud = mosquitto(KEEPS_ALL), mosquitto(KEEPS_ALL)
    link = Link(cloud.port)
    started.append(link)
    running = bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}",
                     f'connect_to = "127.0.0.1:{link.port}"').connected()
    beside = watch(edge.port, SERVICE)
    link.cut()
    publish_numbers(client(edge.port), 100)
    beside.until(lambda: beside.counters().get("queue") == 100, "messages on their way")
    begin = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begin < 1.0
    link.restore()
    above = watch(cloud.port, TOPIC)
    running.start()
    above.until(lambda: above.payloads() == [str(n) for n in range(100)], "each of them once", 30)


def test_an_upstream_that_takes_qos_0_only_from_now_on_gets_nothing(
        mosquitto, fake, bridge, client, watch):
    edge = mosquitto(KEEPS_ALL)
    upstream = fake(answer=lambda p: None, closes=lambda p: p["payload"] == b"2")
    running = bridge(edge.port, upstream.url).connected()
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    upstream.properties = b"\x24\x00"
    publish_numbers(below, 3)
    running.process.wait_for("upstream: .*QoS 0 only.*allow QoS 1")
    upstream.properties, upstream.answer, upstream.closes = b"", lambda p: 0, lambda p: False
    beside.until(lambda: beside.counters().get("forwarded") == 3, "the three at last", 30)
    assert all(p["qos"] == 1 for p in upstream.published if p["topic"] == TOPIC)


def test_what_waits_at_qos_0_goes_up_in_order(mosquitto, bridge, watch, client, started):
    edge, cloud = mosquitto(KEEPS_ALL), mosquitto(KEEPS_ALL)
    link, detour = cut_link(started, cloud)
    bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}", detour).connected("edge")
    above, below, beside = watch(cloud.port, TOPIC), client(edge.port), watch(edge.port, SERVICE)
    for number in range(4_000):
        below.client.publish(TOPIC, str(number), 0)
    beside.until(lambda: beside.counters().get("queue") == 4_000, "the queue")
    link.restore()
    above.until(lambda: len(above.payloads()) == 4_000, "all messages", 60)
    assert above.payloads() == [str(number) for number in range(4_000)]


def test_a_late_will_of_the_bridge_itself_is_answered(mosquitto, bridge, watch):
    edge, cloud = mosquitto(), mosquitto()
    bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}").connected()
    above = watch(cloud.port, LINK)
    above.until(lambda: above.last_json(LINK).get("state") == "online", "the link")
    word = above.last_json(LINK)
    will = {key: word[key] for key in ("instance", "session")} | {"state": "offline"}
    above.publish(LINK, json.dumps(will), qos=1, retain=True)
    above.until(lambda: [json.loads(m.payload)["state"] for m in above.of(LINK)][-2:]
                == ["offline", "online"], "the answer")
