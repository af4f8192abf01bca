"""fleet-broker with several loops: the same as with one, whatever shard a client belongs to."""

import pathlib
import socket
import ssl
import threading

import pytest

import test_broker
import test_hostile
from fleetlab.brokers import FleetBroker, fleet_password_file
from fleetlab.processes import wait_until
from support import Client, mosquitto_sub
from test_broker import connect  # noqa: F401

# The tests of one loop that say most, once more with several: a fixture of this module starts the broker.
SAME = [
    test_broker.test_mosquitto_clients_exchange_a_message,
    test_broker.test_paho_clients_exchange_many_messages_in_order,
    test_broker.test_retained_message_comes_with_a_new_subscription_and_goes_when_emptied,
    test_broker.test_will_is_published_when_a_client_vanishes_and_not_when_it_says_goodbye,
    test_broker.test_persistent_session_receives_what_came_while_it_was_away,
    test_broker.test_a_second_client_with_the_same_id_takes_over,
    test_broker.test_user_properties_and_the_others_are_passed_on_in_order,
    test_broker.test_retain_as_published_and_no_local,
    test_broker.test_an_empty_client_id_is_assigned_one,
    test_hostile.test_first_bytes,
    test_hostile.test_after_connect,
    test_hostile.test_a_reader_that_never_reads_costs_its_own_queue_only,
]
for test in SAME:
    globals()[test.__name__] = test


@pytest.fixture(params=[(2, "process"), (3, "memory")], ids=["2-process", "3-memory"])
def kind(request):
    """How many threads, and the durability."""
    return request.param


@pytest.fixture
def threads(kind):
    return kind[0]


@pytest.fixture
def fleet_broker(tmp_path, started, kind):
    def start(configuration="", **options):
        threads, durability = kind
        head = f'threads = {threads}\ndurability = "{durability}"\n'
        broker = FleetBroker(tmp_path / f"broker-{len(started)}", head + configuration, **options)
        started.append(broker)
        return broker
    return start


def test_every_loop_has_a_thread_and_serves_clients(fleet_broker, connect, threads):
    broker = fleet_broker()

    def shards():
        tasks = pathlib.Path(f"/proc/{broker.process.pid}/task").iterdir()
        names = [task.joinpath("comm").read_text().strip() for task in tasks]
        return sorted(name for name in names if name.startswith("shard"))
    # A thread gives itself its name, once it runs.
    wait_until(lambda: shards() == [f"shard {i}" for i in range(1, threads)], "the threads' names")
    clients = [connect(broker.port, f"client-{i}") for i in range(12)]
    for client in clients:
        client.subscribe("all", qos=1)
    for client in clients:
        client.publish("all", client.client._client_id, qos=1)
    expected = sorted(f"client-{i}".encode() for i in range(12))
    for client in clients:
        assert sorted(client.received(12)) == expected


def test_order_of_each_publisher_and_topic_under_load(fleet_broker, connect):
    broker = fleet_broker()
    count, publishers = 600, 6
    listeners = [connect(broker.port, f"listener-{i}") for i in range(4)]
    for quality, listener in enumerate(listeners):
        listener.subscribe("load/#", qos=min(quality, 2))
    sources = [connect(broker.port, f"source-{i}") for i in range(publishers)]

    def publish(number, source):
        for step in range(count):
            source.client.publish(f"load/{number}/{step % 2}", str(step), number % 3)

    workers = [threading.Thread(target=publish, args=pair) for pair in enumerate(sources)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for listener in listeners:
        listener.received(count * publishers)
        assert len(listener.messages) == count * publishers
        seen = {}
        for message in listener.messages:
            seen.setdefault(message.topic, []).append(int(message.payload))
        assert all(steps == sorted(steps) for steps in seen.values())


def test_a_group_shares_over_all_loops(fleet_broker, connect):
    broker = fleet_broker()
    members = [connect(broker.port, f"member-{i}", version="5") for i in range(6)]
    for member in members:
        member.subscribe("$share/g/work/#", qos=2)
    for number in range(60):
        source = connect(broker.port, f"source-{number % 4}", version="5")
        source.publish(f"work/{number}", str(number), qos=number % 3)
    wait_until(lambda: sum(len(m.messages) for m in members) == 60, "60 messages")
    assert {len(member.messages) for member in members} == {10}
    topics = [message.topic for member in members for message in member.messages]
    assert len(set(topics)) == 60


def test_retained_messages_that_race_end_up_the_same_everywhere(fleet_broker, connect):
    broker = fleet_broker()
    sources = [connect(broker.port, f"racer-{i}") for i in range(6)]

    def race(number, source):
        for step in range(200):
            payload = b"" if step % 5 == 4 else f"{number}-{step}".encode()
            source.client.publish(f"race/{step % 3}", payload, 1, retain=True)
        source.wait(lambda: len(source.acknowledged) == 200, "200 acknowledgements")

    workers = [threading.Thread(target=race, args=pair) for pair in enumerate(sources)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sources[0].publish("race/end", b"x", 1, retain=True)

    def retained(number):
        client = connect(broker.port, f"reader-{number}")
        client.subscribe("race/#", qos=1)
        client.wait(lambda: "race/end" in client.topics(), "the last retained message")
        return sorted((m.topic, m.payload) for m in client.messages)
    found = [retained(number) for number in range(9)]
    assert all(one == found[0] for one in found)


def test_tls_connections_move_with_what_they_hold(fleet_broker, connect, authority, server_keys):
    certificate, key = server_keys
    broker = fleet_broker(
        f'[[listener]]\naddress = "127.0.0.1:0"\nallow_anonymous = true\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n', listen=None)
    clients = [connect(broker.port, f"tls-{i}", host="localhost", ca_file=authority.certificate)
               for i in range(8)]
    for client in clients:
        client.subscribe("t", qos=1)
    for number, client in enumerate(clients):
        client.publish("t", str(number), qos=1)
    for client in clients:
        assert sorted(client.received(8)) == [str(n).encode() for n in range(8)]
    # CONNECT, SUBSCRIBE and PUBLISH in one record: what is behind CONNECT moves along.
    context = ssl.create_default_context(cafile=authority.certificate)
    for number in range(8):
        name = f"raw-{number}".encode()
        connect_packet = b"\x10" + bytes([12 + len(name)]) + b"\0\4MQTT\4\2\0\x3c" \
            + len(name).to_bytes(2, "big") + name
        subscribe = b"\x82\x06\0\1\0\1r\0"
        publish = b"\x30\x04\0\1rx"
        with socket.create_connection(("127.0.0.1", broker.port), 10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(connect_packet + subscribe + publish)
            got = b""
            while len(got) < 15:
                piece = secure.recv(100)
                assert piece, got
                got += piece
            assert got == b"\x20\2\0\0" + b"\x90\3\0\1\0" + publish


def test_websocket_connections_move(fleet_broker, started, threads):
    broker = fleet_broker('[[listener]]\naddress = "127.0.0.1:0"\nprotocol = "websocket"\n',
                          listen=None)
    import paho.mqtt.client as paho
    arrived = threading.Semaphore(0)
    clients = []
    for number in range(6):
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"ws-{number}",
                             transport="websockets")
        client.on_subscribe = lambda *_: arrived.release()
        client.on_connect = lambda client, *_: client.subscribe("w", 1)
        client.on_message = lambda *_: arrived.release()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        clients.append(client)
    try:
        assert all(arrived.acquire(timeout=20) for _ in clients)
        clients[0].publish("w", b"x" * 5_000, 1)
        assert all(arrived.acquire(timeout=20) for _ in clients)
    finally:
        for client in clients:
            client.disconnect()
            client.loop_stop()


def test_passwords_are_checked_for_every_loop(fleet_broker, connect, started, tmp_path):
    users = fleet_password_file(tmp_path / "users", {"alice": "secret"})
    broker = fleet_broker(f'[authentication]\npassword_file = "{users}"\n')
    for number in range(6):
        connect(broker.port, f"right-{number}", user="alice", password="secret")
        wrong = Client(broker.port, f"wrong-{number}", user="alice", password="other")
        started.append(wrong)
        wrong.refused()


def test_the_end_says_goodbye_on_every_loop(fleet_broker, connect):
    broker = fleet_broker()
    clients = [connect(broker.port, f"c{i}", version="5") for i in range(6)]
    assert broker.stop() == 0
    for client in clients:
        assert client.disconnected().value == 0x8B


def test_connections_are_limited_for_the_whole_broker(fleet_broker, connect):
    broker = fleet_broker("[limits]\nconnections = 4\n")
    clients = [connect(broker.port, f"c{i}") for i in range(4)]
    with socket.create_connection(("127.0.0.1", broker.port), 10) as extra:
        assert extra.recv(1) == b""
    clients[0].disconnect()
    mosquitto_sub(broker.port, "-t", "x", "-i", "next").stop()
