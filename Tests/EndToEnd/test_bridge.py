"""The bridge between real brokers: Fleet's or Debian's Mosquitto at the edge, TLS and a password above."""

import json
import random
import re
import time

import pytest

from bridge_support import (
    LINK, NODE, SERVICE, SITE, TOPIC, Bridge, FakeUpstream, Watcher, fleet_property, in_order)
from fleetlab.brokers import mosquitto_password_file, secret_file
from fleetlab.link import Link
from fleetlab.processes import program, run
from support import Client, properties

KEEPS_ALL = "allow_anonymous true\nmax_queued_messages 0\nmax_queued_bytes 0\n"


@pytest.fixture(params=["fleet-broker", "mosquitto"])
def edge(request, fleet_broker, mosquitto):
    """A broker at the edge, as it comes."""
    return fleet_broker() if request.param == "fleet-broker" else mosquitto(KEEPS_ALL)


@pytest.fixture
def cloud(mosquitto, tmp_path, server_keys, authority):
    """Debian's Mosquitto with TLS and a password, and what a bridge needs to get in."""
    certificate, key = server_keys
    passwords = mosquitto_password_file(tmp_path / "users", {"farm": "secret"})
    broker = mosquitto(
        f"certfile {certificate}\nkeyfile {key}\nallow_anonymous false\n"
        f"password_file {passwords}\nmax_queued_messages 0\nmax_queued_bytes 0\n")
    broker.user = {"user": "farm", "password": "secret", "ca_file": authority.certificate}
    broker.url = f"mqtts://farm@localhost:{broker.port}"
    broker.access = (f'password_file = "{secret_file(tmp_path / "password", "secret")}"\n'
                     f'ca_file = "{authority.certificate}"\n')
    return broker


@pytest.fixture
def bridge(tmp_path, started):
    def start(edge_port, url, upstream="", more="", name="bridge"):
        made = Bridge(tmp_path / name, edge_port, url, upstream, more)
        started.append(made)
        return made
    return start


@pytest.fixture
def watch(started):
    def start(port, *filters, **options):
        watcher = Watcher(port, *filters, **options)
        started.append(watcher)
        return watcher
    return start


@pytest.fixture
def client(started):
    def start(port, **options):
        options.setdefault("version", "5")
        made = Client(port, **options).connected()
        started.append(made)
        return made
    return start


def watch_cloud(watch, cloud, *filters):
    return watch(cloud.port, *(filters or ("#",)), host="localhost", **cloud.user)


def test_messages_go_up_with_their_properties_and_a_number(edge, cloud, bridge, watch, client):
    bridge(edge.port, cloud.url, cloud.access).connected()
    above = watch_cloud(watch, cloud)
    below = client(edge.port)
    sent = properties("PUBLISH", UserProperty=[("b", "1"), ("a", "2"), ("b", "3")],
                      ContentType="x/y", MessageExpiryInterval=100)
    for number in range(20):
        below.publish(TOPIC, str(number), qos=1, properties=sent)
    above.until(lambda: len(above.of(TOPIC)) >= 20, "20 messages above")
    messages = above.of(TOPIC)
    assert above.payloads() == [str(n) for n in range(20)]
    numbers = [fleet_property(m) for m in messages]
    assert [int(n[2]) for n in numbers] == list(range(int(numbers[0][2]), int(numbers[0][2]) + 20))
    assert {n[1] for n in numbers} == {"up"} and len({n[0] for n in numbers}) == 1
    first = messages[0].properties
    assert first.UserProperty[:3] == [("b", "1"), ("a", "2"), ("b", "3")]
    assert first.ContentType == "x/y"
    assert 90 <= first.MessageExpiryInterval <= 100


def test_retained_messages_arrive_retained_and_are_not_repeated(edge, cloud, bridge, watch, client):
    below = client(edge.port)
    status = f"fleet/v1/{SITE}/n1/status"
    below.publish(status, "before", qos=1, retain=True)
    first = bridge(edge.port, cloud.url, cloud.access).connected()
    above = watch_cloud(watch, cloud)
    above.until(lambda: above.payloads(status) == ["before"], "the retained message of before")
    below.publish(f"fleet/v1/{SITE}/n1/info", "after", qos=1, retain=True)
    above.until(lambda: above.of(f"fleet/v1/{SITE}/n1/info"), "the one of after")
    first.kill()
    first.start()
    first.connected()
    below.publish(TOPIC, "marker", qos=1)
    above.until(lambda: above.payloads() == ["marker"], "a message after the restart")
    assert above.payloads(status) == ["before"], "a restart must not send retained ones again"
    late = watch_cloud(watch, cloud, "fleet/#")
    late.until(lambda: late.of(status), "the retained message for a late subscriber")
    assert late.of(status)[0].retain and not late.of(TOPIC)


def test_commands_come_down_and_answers_go_up(edge, cloud, bridge, watch, client):
    bridge(edge.port, cloud.url, cloud.access).connected()
    agent = watch(edge.port, f"fleet/v1/{SITE}/n1/cmd/#")
    above = watch_cloud(watch, cloud, f"fleet/v1/{SITE}/+/res/#")
    command, answer = (f"fleet/v1/{SITE}/n1/{c}/ping/1" for c in ("cmd", "res"))
    above.publish(command, "{}", qos=1)
    agent.until(lambda: agent.of(command), "the command below")
    assert fleet_property(agent.of(command)[0])[1] == "down"
    agent.publish(answer, '{"state":"done"}', qos=1)
    above.until(lambda: above.of(answer), "the answer above")
    above.publish(f"fleet/v1/{SITE}/n1/cmd/ping/2", "{}", qos=1, retain=True)
    above.publish(f"fleet/v1/{SITE}/n1/cmd/ping/3", "{}", qos=1)
    agent.until(lambda: agent.of(f"fleet/v1/{SITE}/n1/cmd/ping/3"), "the third command")
    assert not agent.of(f"fleet/v1/{SITE}/n1/cmd/ping/2"), "a retained command is refused"
    above.publish(f"fleet/v1/{SITE}/n1/cmd/ping/2", "", qos=1, retain=True)


def test_a_command_waits_above_while_the_bridge_is_away(edge, cloud, bridge, watch):
    first = bridge(edge.port, cloud.url, cloud.access).connected()
    agent = watch(edge.port, f"fleet/v1/{SITE}/n1/cmd/#")
    above = watch_cloud(watch, cloud, LINK)
    first.kill()
    above.until(lambda: above.last_json(LINK).get("state") == "offline", "the link's will")
    above.publish(f"fleet/v1/{SITE}/n1/cmd/ping/1", "{}", qos=1)
    first.start()
    agent.until(lambda: agent.messages, "the command after the restart")


def test_nothing_is_missing_after_kill_9_under_load(edge, cloud, bridge, watch, client):
    running = bridge(edge.port, cloud.url, cloud.access).connected()
    above = watch_cloud(watch, cloud, "fleet/#")
    below = client(edge.port)
    chance = random.Random(4711)
    total = 3_000
    kills_at = sorted(chance.sample(range(100, total - 100), 5))
    for number in range(total):
        below.client.publish(TOPIC, str(number), 1)
        if kills_at and number == kills_at[0]:
            kills_at.pop(0)
            time.sleep(chance.random() * 0.2)
            running.kill()
            running.start()
    everything = set(map(str, range(total)))
    try:
        above.until(lambda: set(above.payloads()) >= everything, "all messages above", 60)
    except TimeoutError:
        missing = sorted(everything - set(above.payloads()), key=int)
        raise AssertionError(f"{len(missing)} missing, such as {missing[:20]}") from None
    assert in_order(above.payloads())
    by_number = {}
    for message in above.of(TOPIC):
        number = fleet_property(message)[2]
        assert by_number.setdefault(number, message.payload) == message.payload
    assert len(above.payloads()) < total + 5 * 600, "at most a window is repeated for each kill"


def test_a_silent_outage_is_found_queued_and_replayed(edge, cloud, bridge, watch, client, started):
    link = Link(cloud.port)
    started.append(link)
    running = bridge(
        edge.port, cloud.url, cloud.access + f'connect_to = "127.0.0.1:{link.port}"').connected()
    above = watch_cloud(watch, cloud, "fleet/#")
    beside = watch(edge.port, SERVICE)
    below = client(edge.port)
    below.publish(TOPIC, "0", qos=1)
    above.until(lambda: above.payloads() == ["0"], "the first message")
    assert above.last_json(LINK)["state"] == "online"
    link.cut()
    for number in range(1, 400):
        below.publish(TOPIC, str(number), qos=1)
    beside.until(lambda: beside.counters().get("queue", 0) >= 399, "the queue to grow")
    # Found by keep-alive, without a FIN: the broker above by its own, the bridge by its own.
    above.until(lambda: above.last_json(LINK)["state"] == "offline", "the link's will", 30)
    running.process.wait_for("upstream: .*does not answer")
    running.kill()
    running.start()
    beside.until(lambda: beside.counters().get("queue", 0) >= 399, "the queue after the restart")
    below.publish(TOPIC, "400", qos=1)
    link.restore()
    above.until(lambda: set(above.payloads()) >= set(map(str, range(401))), "all messages", 60)
    assert in_order(above.payloads())
    assert fleet_property(above.of(TOPIC)[-1])[-1] == "h", "what waited is marked as history"
    above.until(lambda: above.last_json(LINK)["state"] == "online", "the link")
    beside.until(lambda: beside.counters().get("queue") == 0, "an empty queue")


def test_link_and_service_end_as_offline_and_the_bridge_within_a_second(
        mosquitto, cloud, bridge, watch):
    edge = mosquitto()
    running = bridge(edge.port, cloud.url, cloud.access).connected()
    above = watch_cloud(watch, cloud, LINK, SERVICE)
    beside = watch(edge.port, SERVICE)
    above.until(lambda: above.last_json(LINK).get("state") == "online", "the link")
    above.until(lambda: above.last_json(SERVICE).get("state") == "online", "the service above")
    beside.until(lambda: beside.last_json(SERVICE).get("state") == "online", "the service")
    begin = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begin < 1.0
    above.until(lambda: above.last_json(LINK)["state"] == "offline", "the link's end")
    beside.until(lambda: beside.last_json(SERVICE)["state"] == "offline", "the service's end")
    assert above.last_json(LINK)["why"] == "stopped"


def test_a_wrong_password_is_said_and_the_store_goes_on(
        mosquitto, cloud, bridge, watch, client, tmp_path, authority):
    edge = mosquitto(KEEPS_ALL)
    wrong = secret_file(tmp_path / "wrong", "nonsense")
    running = bridge(
        edge.port, cloud.url,
        f'password_file = "{wrong}"\nca_file = "{authority.certificate}"').connected("edge")
    line = running.process.wait_for("upstream: .*(user name or password|not allow).*").group(0)
    assert "check" in line and "nonsense" not in running.process.output
    below = client(edge.port)
    for number in range(10):
        below.publish(TOPIC, str(number), qos=1)
    beside = watch(edge.port, SERVICE)
    beside.until(lambda: beside.counters().get("queue") == 10, "ten messages in the store")
    running.stop()
    running.configure(cloud.url, cloud.access)
    above = watch_cloud(watch, cloud, TOPIC)
    running.start()
    above.until(lambda: above.payloads() == [str(n) for n in range(10)], "the ten messages")


def test_an_unknown_authority_is_refused(mosquitto, cloud, bridge):
    running = bridge(mosquitto().port, cloud.url)
    running.process.wait_for("upstream: no TLS connection")


def test_a_corrupt_store_is_put_aside_and_the_bridge_goes_on(
        mosquitto, cloud, bridge, watch, client):
    edge = mosquitto()
    running = bridge(edge.port, cloud.url, cloud.access).connected()
    running.kill()
    for beside in ("bridge.db-wal", "bridge.db-shm"):
        (running.state / beside).unlink(missing_ok=True)
    (running.state / "bridge.db").write_bytes(b"SQLite format 3\0" + b"\xee" * 9_000)
    running.start()
    running.process.wait_for("error the store is damaged and was put aside")
    assert list(running.state.glob("bridge.db.corrupt-*"))
    above = watch_cloud(watch, cloud, TOPIC, SERVICE)
    below = client(edge.port)
    below.publish(TOPIC, "0", qos=1)
    above.until(lambda: above.payloads() == ["0"], "a message over the new store")
    above.until(lambda: above.counters().get("stores_quarantined") == 1, "the count of it")


def test_reloads_under_way_lose_nothing_and_keep_the_order(edge, mosquitto, bridge, watch, client):
    cloud = mosquitto()
    url = f"mqtt://127.0.0.1:{cloud.port}"
    running = bridge(edge.port, url).connected()
    above = watch(cloud.port, TOPIC)
    below = client(edge.port)
    pid = running.process.pid
    for number in range(400):
        below.publish(TOPIC, str(number), qos=1)
        if number % 100 == 50:
            running.configure(url, f'session_expiry = "{number + 100}s"')
            done = run([program("fleet-bridge"), "reload", "--state-directory", running.state])
            assert (done.returncode, done.stdout) == (0, "configuration reloaded\n"), done.stderr
    above.until(lambda: len(set(above.payloads())) == 400, "all of them")
    assert in_order(above.payloads())
    assert running.process.pid == pid and running.process.is_running()
    epochs = {fleet_property(message)[0] for message in above.of(TOPIC)}
    assert len(epochs) == 1
    assert running.stop() == 0


def test_a_store_is_copied_and_restored_with_a_new_epoch(mosquitto, bridge, watch, client, tmp_path):
    edge, cloud = mosquitto(KEEPS_ALL), mosquitto()
    running = bridge(edge.port, "mqtt://127.0.0.1:1").connected("edge")
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    publish_numbers(below, 10)
    beside.until(lambda: beside.counters().get("queue") == 10, "ten messages in the store")

    def store(*arguments):
        return run([program("fleet-bridge"), "store", *arguments, "--state-directory", running.state])
    done = store("backup", tmp_path / "copy.db")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/copy.db: 10 messages\n"), done.stderr
    assert "bridge.db: sound, 10 messages" in store("check").stdout
    told = store("format").stdout
    assert re.fullmatch(r"store_format=(\d+)\nprogram_format=\1\n", told), told
    done = store("restore", tmp_path / "copy.db")
    assert done.returncode == 69 and "in use by process" in done.stderr
    running.stop()

    running.configure(f"mqtt://127.0.0.1:{cloud.port}")
    above = watch(cloud.port, TOPIC)
    running.start()
    above.until(lambda: len(above.payloads()) == 10, "the messages")
    running.stop()
    assert store("restore", tmp_path / "copy.db").returncode == 0
    running.start()
    above.until(lambda: len(above.payloads()) == 20, "the messages again, from the copy")
    epochs = [fleet_property(message)[0] for message in above.of(TOPIC)]
    assert len(set(epochs[:10])) == len(set(epochs[10:])) == 1 and epochs[0] != epochs[10]


def test_filters_of_an_earlier_configuration_are_ended(edge, mosquitto, bridge, watch, client):
    cloud = mosquitto()
    url = f"mqtt://127.0.0.1:{cloud.port}"
    running = bridge(edge.port, url, more='[routes]\nup = ["old/#", "both"]').connected()
    running.stop()
    running.configure(url, more='[routes]\nup = ["new/#", "both"]')
    running.start()
    running.process.wait_for("edge: filters of an earlier configuration are gone")
    above, below = watch(cloud.port, "old/#", "new/#", "both"), client(edge.port)
    for topic in ("old/1", "both", "new/1"):
        below.publish(topic, "x", qos=1)
    above.until(lambda: above.of("new/1"), "the new filter's message")
    assert above.topics() == ["both", "new/1"]


def test_a_full_store_takes_nothing_more_and_loses_nothing(
        edge, mosquitto, bridge, watch, client, started):
    cloud = mosquitto(KEEPS_ALL)
    link = Link(cloud.port)
    started.append(link)
    link.cut()
    bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}", f'connect_to = "127.0.0.1:{link.port}"',
           '[store]\nmaximum_bytes = "64KiB"').connected("edge")
    above, beside, below = watch(cloud.port, TOPIC), watch(edge.port, SERVICE), client(edge.port)
    for number in range(1_500):
        below.publish(TOPIC, str(number), qos=1)
    beside.until(lambda: beside.counters().get("full"), "the store to be full")
    assert beside.counters()["queue"] < 1_500
    link.restore()
    above.until(lambda: len(set(above.payloads())) == 1_500, "all messages", 60)
    assert in_order(above.payloads())
    beside.until(lambda: beside.counters().get("queue") == 0, "an empty queue")
    assert not beside.counters().get("full")


def test_an_upstream_of_3_1_1_gets_the_payload_unchanged(mosquitto, bridge, watch, client):
    edge, cloud = mosquitto(), mosquitto()
    bridge(edge.port, f"mqtt://127.0.0.1:{cloud.port}", 'version = "3.1.1"').connected()
    above = watch(cloud.port, "#", version="3.1.1")
    below = client(edge.port)
    payload = json.dumps({"v": 21.5, "n": 7})
    below.publish(TOPIC, payload, qos=1)
    above.until(lambda: above.payloads() == [payload], "the payload as it was")
    above.until(lambda: above.last_json(LINK).get("state") == "online", "the link")


# An upstream that misbehaves.

@pytest.fixture
def fake(started):
    def start(**faults):
        upstream = FakeUpstream(**faults)
        started.append(upstream)
        return upstream
    return start


def publish_numbers(client, count, first=0):
    for number in range(first, first + count):
        client.publish(TOPIC, str(number), qos=1)


def test_a_refused_message_is_counted_and_the_next_goes_on(
        mosquitto, fake, bridge, client, watch):
    edge = mosquitto()
    upstream = fake(answer=lambda p: 0x87 if p["payload"] == b"3" else 0)
    bridge(edge.port, upstream.url).connected()
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    publish_numbers(below, 10)
    beside.until(lambda: beside.counters().get("forwarded") == 9, "nine messages")
    assert upstream.texts() == [str(n) for n in range(10)], "refused once, not sent again"
    assert beside.counters()["refused"] == 1 and beside.counters()["queue"] == 0
    beside.until(lambda: beside.counters()["refused_kept"] == 1, "the refused one in its table")


def test_receive_maximum_1_and_a_maximum_packet_size_of_1_kib(
        mosquitto, fake, bridge, client, watch):
    edge = mosquitto()
    held = []
    limits = b"\x21\x00\x01" + b"\x27\x00\x00\x04\x00" + b"\x24\x01" + b"\x25\x00"

    def answer(publish):
        held.append(publish["size"])
        return 0
    upstream = fake(answer=answer, properties=limits)
    bridge(edge.port, upstream.url).connected()
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    below.publish(TOPIC, "x" * 2_000, qos=1, retain=True)
    below.publish(TOPIC, "1", qos=2, retain=True)
    publish_numbers(below, 20, first=2)
    beside.until(lambda: beside.counters().get("forwarded") == 21, "the others to go on")
    assert beside.counters()["refused"] == 1
    assert upstream.texts() == [str(n) for n in range(1, 22)]
    assert all(p["qos"] <= 1 and not p["retain"] for p in upstream.published)
    assert max(held) <= 1_024


def test_a_missing_puback_ends_the_connection_and_the_message_is_sent_again(
        mosquitto, fake, bridge, client, watch):
    edge = mosquitto()
    upstream = fake(answer=lambda p: None if p["connection"] == 1 else 0,
                    session_present=lambda n: n > 1)
    bridge(edge.port, upstream.url, more='[forwarding]\nacknowledgement_timeout = "1s"').connected()
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    publish_numbers(below, 3)
    beside.until(lambda: beside.counters().get("forwarded") == 3, "the three after all", 30)
    again = [p for p in upstream.published if p["topic"] == TOPIC and p["connection"] > 1]
    assert [p["payload"] for p in again] == [b"0", b"1", b"2"]
    assert all(p["dup"] for p in again), "the session is there, so they are repetitions"


def test_an_upstream_that_forgets_gets_unanswered_messages_again(
        mosquitto, fake, bridge, client, watch):
    edge = mosquitto()
    upstream = fake(answer=lambda p: None if p["connection"] <= 2 else 0,
                    closes=lambda p: p["connection"] <= 2 and p["payload"] == b"2",
                    session_present=lambda n: n == 2)
    bridge(edge.port, upstream.url).connected()
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    publish_numbers(below, 3)
    beside.until(lambda: beside.counters().get("forwarded") == 3, "the three after all", 30)
    third = [p for p in upstream.published if p["topic"] == TOPIC and p["connection"] == 3]
    assert [p["payload"] for p in third] == [b"0", b"1", b"2"]
    assert not any(p["dup"] for p in third), "to a server without the session they are new"


def test_a_message_that_kills_each_connection_is_refused_in_the_end(
        mosquitto, fake, bridge, client, watch):
    edge = mosquitto()
    upstream = fake(closes=lambda p: p["payload"] == b"1")
    bridge(edge.port, upstream.url).connected()
    below, beside = client(edge.port), watch(edge.port, SERVICE)
    publish_numbers(below, 4)
    beside.until(lambda: beside.counters().get("refused") == 1, "the one to be found", 90)
    beside.until(lambda: beside.counters().get("forwarded", 0) >= 3, "the others to go on")
    assert set(upstream.texts()) == {"0", "1", "2", "3"}


# The configuration.

def check(tmp_path, text):
    file = tmp_path / "bridge.toml"
    file.write_text(text)
    return run([program("fleet-bridge"), "--config", file, "--check-config"])


def test_overlapping_filters_are_an_error_that_names_the_pair(tmp_path):
    done = check(tmp_path, f'site = "{SITE}"\nnode = "{NODE}"\n[upstream]\nurl = "mqtt://h"\n'
                 f'[routes]\nup = ["x/y", "fleet/v1/{SITE}/#"]\n')
    assert done.returncode == 78
    assert "bridge.toml:6:" in done.stderr
    assert f"fleet/v1/{SITE}/#" in done.stderr and f"fleet/v1/{SITE}/+/cmd/#" in done.stderr


@pytest.mark.parametrize("text, expected", [
    ('site = "Farm"\n[upstream]\nurl = "mqtt://h"\n', "use lower case"),
    (f'site = "{SITE}"\nnode = "a"\n[upstream]\nkeep_alive = "3s"\n', "upstream.url is missing"),
    (f'site = "{SITE}"\nnode = "a"\n[upstream]\nurl = "mqtt://u:p@h"\n', "password"),
    (f'site = "{SITE}"\nnode = "a"\n[upstream]\nurl = "mqtt://h"\nkeepalive = "3s"\n',
     "keep_alive"),
])
def test_a_wrong_configuration_is_refused(tmp_path, text, expected):
    done = check(tmp_path, text)
    assert done.returncode == 78 and expected in done.stderr, done.stderr


def test_a_password_file_that_others_can_read_is_refused(tmp_path):
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    done = check(tmp_path, f'site = "{SITE}"\nnode = "a"\n[upstream]\nurl = "mqtt://h"\n'
                 f'password_file = "{password}"\n')
    assert done.returncode == 78 and f"chmod 640 {password}" in done.stderr
