"""fleet-broker, talked to by clients that nobody here wrote: mosquitto_pub/sub and paho-mqtt."""

import pytest
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleetlab.brokers import fleet_password_file
from support import VERSIONS, Client, mosquitto_pub, mosquitto_sub, properties

versions = pytest.mark.parametrize("version", VERSIONS)
qualities = pytest.mark.parametrize("qos", [0, 1, 2])


@pytest.fixture
def connect(started):
    """connect(port, client_id, version=…) -> a connected Client, ended with the test."""
    def connect_client(*arguments, **options):
        client = Client(*arguments, **options)
        started.append(client)
        return client.connected()
    return connect_client


@versions
@qualities
def test_mosquitto_clients_exchange_a_message(fleet_broker, started, version, qos):
    broker = fleet_broker()
    subscriber = mosquitto_sub(broker.port, "-t", "barn/+/temperature", "-q", qos, "-v",
                               version=version)
    started.append(subscriber)
    mosquitto_pub(broker.port, "-t", "barn/1/temperature", "-m", "21.5", "-q", qos,
                  version=version)
    subscriber.wait_for("^barn/1/temperature 21.5$")


@versions
@qualities
def test_paho_clients_exchange_many_messages_in_order(fleet_broker, connect, version, qos):
    broker = fleet_broker()
    subscriber = connect(broker.port, "subscriber", version=version)
    subscriber.subscribe("count/#", qos=qos)
    publisher = connect(broker.port, "publisher", version=version)
    for number in range(200):
        publisher.client.publish("count/up", str(number), qos)
    assert subscriber.received(200) == [str(n).encode() for n in range(200)]
    assert {m.qos for m in subscriber.messages} == {qos}


@versions
@pytest.mark.parametrize("publish_qos", [0, 1, 2])
@pytest.mark.parametrize("subscribe_qos", [0, 1, 2])
def test_quality_is_the_lesser_of_published_and_granted(
        fleet_broker, connect, version, publish_qos, subscribe_qos):
    broker = fleet_broker()
    client = connect(broker.port, "both", version=version)
    client.subscribe("q", qos=subscribe_qos)
    client.publish("q", b"x", publish_qos)
    client.received(1)
    assert client.messages[0].qos == min(publish_qos, subscribe_qos)


@versions
def test_retained_message_comes_with_a_new_subscription_and_goes_when_emptied(
        fleet_broker, connect, version):
    broker = fleet_broker()
    publisher = connect(broker.port, "publisher", version=version)
    publisher.publish("state/a", b"kept", 1, retain=True)
    publisher.publish("state/b", b"deleted", 1, retain=True)
    publisher.publish("state/b", b"", 1, retain=True)
    subscriber = connect(broker.port, "subscriber", version=version)
    subscriber.subscribe("state/#", qos=1)
    publisher.publish("end", b"", 1)
    subscriber.subscribe("end", qos=1)
    publisher.publish("end", b"end", 1)
    assert subscriber.received(2) == [b"kept", b"end"]
    assert [m.retain for m in subscriber.messages] == [True, False]


@versions
def test_will_is_published_when_a_client_vanishes_and_not_when_it_says_goodbye(
        fleet_broker, connect, version):
    broker = fleet_broker()
    watcher = connect(broker.port, "watcher", version=version)
    watcher.subscribe("will/#", qos=1)
    polite = connect(broker.port, "polite", version=version,
                     will={"topic": "will/polite", "payload": b"no", "qos": 1})
    polite.disconnect()
    gone = connect(broker.port, "gone", version=version,
                   will={"topic": "will/gone", "payload": b"yes", "qos": 1, "retain": True})
    gone.vanish()
    assert watcher.received(1) == [b"yes"]
    assert watcher.topics() == ["will/gone"]


@versions
def test_persistent_session_receives_what_came_while_it_was_away(fleet_broker, connect, version):
    broker = fleet_broker()
    expiry = {"connect_properties": properties("CONNECT", SessionExpiryInterval=600)} \
        if version == "5" else {}
    first = connect(broker.port, "sleeper", version=version, clean=False, **expiry)
    assert not first.connection[0].session_present
    first.subscribe("news/#", qos=2)
    first.disconnect()
    publisher = connect(broker.port, "publisher", version=version)
    for number in range(20):
        publisher.publish(f"news/{1 + number % 2}", str(number), 1 + number % 2)
    second = connect(broker.port, "sleeper", version=version, clean=False, **expiry)
    # 3.1 has no session present flag.
    assert version == "3.1" or second.connection[0].session_present
    second.received(20)
    for qos in (1, 2):  # the order holds for each QoS [MQTT-4.6.0-6]
        got = [m.payload for m in second.messages if m.qos == qos]
        assert got == [str(n).encode() for n in range(20) if 1 + n % 2 == qos]


@versions
def test_clean_session_forgets(fleet_broker, connect, version):
    broker = fleet_broker()
    expiry = {"connect_properties": properties("CONNECT", SessionExpiryInterval=600)} \
        if version == "5" else {}
    first = connect(broker.port, "forgetful", version=version, clean=False, **expiry)
    first.subscribe("old", qos=1)
    first.disconnect()
    second = connect(broker.port, "forgetful", version=version, clean=True)
    assert not second.connection[0].session_present
    second.subscribe("new", qos=1)
    second.publish("old", b"old", 1)
    second.publish("new", b"new", 1)
    assert second.received(1) == [b"new"]


@versions
def test_a_second_client_with_the_same_id_takes_over(fleet_broker, connect, version):
    broker = fleet_broker()
    first = connect(broker.port, "twin", version=version)
    connect(broker.port, "twin", version=version)
    reason = first.disconnected()
    if version == "5":
        assert reason.value == 0x8E  # Session taken over [MQTT-3.1.4-3]


@versions
def test_keep_alive_ends_a_silent_client_and_publishes_its_will(fleet_broker, connect, version):
    broker = fleet_broker()
    watcher = connect(broker.port, "watcher", version=version)
    watcher.subscribe("will", qos=1)
    silent = connect(broker.port, "silent", version=version, keep_alive=1,
                     will={"topic": "will", "payload": b"silence", "qos": 1})
    # A client whose program hangs: its connection stays open and says nothing.
    silent.client.loop_stop()
    assert watcher.received(1) == [b"silence"]


def test_user_properties_and_the_others_are_passed_on_in_order(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "five", version="5")
    client.subscribe("p", qos=1)
    sent = properties("PUBLISH", UserProperty=[("a", "1"), ("b", "2"), ("a", "3")],
                      ContentType="text/plain", ResponseTopic="answers", CorrelationData=b"\x01",
                      PayloadFormatIndicator=1, MessageExpiryInterval=100)
    client.publish("p", b"x", 1, properties=sent)
    client.received(1)
    got = client.messages[0].properties
    assert got.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")]
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == (
        "text/plain", "answers", b"\x01")
    assert got.PayloadFormatIndicator == 1
    assert 99 <= got.MessageExpiryInterval <= 100


def test_retain_as_published_and_no_local(fleet_broker, connect):
    broker = fleet_broker()
    publisher = connect(broker.port, "publisher", version="5")
    publisher.subscribe("r", options=SubscribeOptions(qos=1, noLocal=True))
    asis = connect(broker.port, "as-is", version="5")
    asis.subscribe("r", options=SubscribeOptions(qos=1, retainAsPublished=True))
    plain = connect(broker.port, "plain", version="5")
    plain.subscribe("r", options=SubscribeOptions(qos=1))
    publisher.publish("r", b"x", 1, retain=True)
    asis.received(1)
    plain.received(1)
    assert asis.messages[0].retain
    assert not plain.messages[0].retain
    publisher.subscribe("done", qos=1)
    publisher.publish("done", b"done", 1)
    assert publisher.received(1) == [b"done"]


@pytest.mark.parametrize("handling,expected", [(0, [b"x", b"x"]), (1, [b"x"]), (2, [])])
def test_retain_handling(fleet_broker, connect, handling, expected):
    broker = fleet_broker()
    client = connect(broker.port, "five", version="5")
    client.publish("r", b"x", 1, retain=True)
    for _ in range(2):
        client.subscribe("r", options=SubscribeOptions(qos=1, retainHandling=handling))
    client.subscribe("done", qos=1)
    client.publish("done", b"done", 1)
    assert client.received(len(expected) + 1) == [*expected, b"done"]


def test_topic_aliases_both_ways(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "five", version="5")
    assert client.connection[2].TopicAliasMaximum == 32
    taker = connect(broker.port, "taker", version="5",
                    connect_properties=properties("CONNECT", TopicAliasMaximum=4))
    for subscriber in (client, taker):
        subscriber.subscribe("a/#", qos=1)
    for topic, payload in (("a/topic", b"1"), ("", b"2"), ("a/other", b"3"), ("", b"4")):
        client.publish(topic, payload, 1, properties=properties("PUBLISH", TopicAlias=32))
    client.received(4)
    taker.received(4)
    assert client.topics() == ["a/topic", "a/topic", "a/other", "a/other"]
    # paho leaves it to its user to look an alias up.
    assert taker.topics() == ["a/topic", "", "a/other", ""]
    assert [m.properties.TopicAlias for m in taker.messages] == [1, 1, 2, 2]
    client.client.publish("", b"5", 1, properties=properties("PUBLISH", TopicAlias=33))
    assert client.disconnected().value == 0x94


def test_subscription_identifiers(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "five", version="5")
    publisher = connect(broker.port, "publisher", version="3.1.1")
    for filter, identifier in (("t/#", 1), ("t/+", 268_435_455), ("other", 3)):
        client.subscribe(filter, properties=properties(
            "SUBSCRIBE", SubscriptionIdentifier=identifier), qos=1)
    publisher.publish("t/a", b"both", 1)
    publisher.publish("t/a/b", b"one", 1)
    publisher.publish("t/a", b"at most once", 0)
    client.received(3)
    found = [sorted(m.properties.SubscriptionIdentifier) for m in client.messages]
    assert found == [[1, 268_435_455], [1], [1, 268_435_455]]


def test_a_shared_subscription_gives_each_message_to_one_client(fleet_broker, connect):
    broker = fleet_broker()
    workers = [connect(broker.port, f"worker{n}", version="5") for n in range(3)]
    for worker in workers:
        assert worker.subscribe("$share/group/work/#", qos=1)[0].value == 1
    publisher = connect(broker.port, "publisher", version="3.1.1")
    for n in range(30):
        publisher.publish(f"work/{n}", str(n).encode(), 1)
    workers[0].wait(lambda: sum(len(w.messages) for w in workers) >= 30, "all messages")
    assert [len(w.messages) for w in workers] == [10, 10, 10]
    workers[0].disconnect()
    for n in range(30, 40):
        publisher.publish(f"work/{n}", str(n).encode(), 1)
    workers[1].wait(lambda: sum(len(w.messages) for w in workers) >= 40, "all messages")
    found = sorted(int(m.payload) for w in workers for m in w.messages)
    assert found == list(range(40))


def test_who_vanishes_leaves_its_share_to_others(fleet_broker, connect):
    broker = fleet_broker("[session]\nredistribute_on_disconnect = true\n")
    expiry = properties("CONNECT", SessionExpiryInterval=100, ReceiveMaximum=5)
    lost = connect(broker.port, "lost", version="5", clean=False, manual_ack=True,
                   connect_properties=expiry)
    lost.subscribe("$share/group/work", qos=1)
    publisher = connect(broker.port, "publisher", version="5")
    for n in range(20):
        publisher.publish("work", str(n).encode(), 1)
    lost.received(5)
    stays = connect(broker.port, "stays", version="5")
    stays.subscribe("$share/group/work", qos=1)
    lost.vanish()
    stays.received(20)
    assert sorted(int(m.payload) for m in stays.messages) == list(range(20))


def test_share_is_an_ordinary_level_in_3_1_1(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "three", version="3.1.1")
    assert not client.subscribe("$share/group/a", qos=1)[0].is_failure
    client.publish("$share/group/a", b"x", 1)
    assert client.received(1) == [b"x"]


def test_session_expiry_ends_a_session(fleet_broker, connect):
    broker = fleet_broker()
    expiry = {"connect_properties": properties("CONNECT", SessionExpiryInterval=1)}
    first = connect(broker.port, "brief", version="5", clean=False, **expiry)
    first.subscribe("a", qos=1)
    first.disconnect()

    def is_gone():
        probe = connect(broker.port, "brief", version="5", clean=False, **expiry)
        present = probe.connection[0].session_present
        probe.disconnect()
        return not present
    import time
    time.sleep(1.5)  # the interval itself is the condition: a session may not end earlier
    assert is_gone()


def test_an_empty_client_id_is_assigned_one(fleet_broker, connect):
    broker = fleet_broker()
    client = connect(broker.port, "", version="5")
    assert client.connection[2].AssignedClientIdentifier
    connect(broker.port, "", version="3.1.1")


USERS = {"farmer": "correct horse", "guest": "battery staple"}


@pytest.fixture
def secured(fleet_broker, tmp_path, server_keys):
    """A broker with TLS and passwords, as a cloud broker has."""
    passwords = fleet_password_file(tmp_path / "passwords", USERS)
    certificate, key = server_keys
    return fleet_broker(
        f'[[listener]]\naddress = "127.0.0.1:0"\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n'
        f'[authentication]\npassword_file = "{passwords}"\nallow_anonymous = false\n', listen=None)


@versions
def test_tls_and_password(secured, connect, authority, version):
    client = connect(secured.port, "secure", version=version, host="localhost", user="farmer",
                     password=USERS["farmer"], ca_file=authority.certificate)
    client.subscribe("a", qos=1)
    client.publish("a", b"x", 1)
    assert client.received(1) == [b"x"]


@versions
@pytest.mark.parametrize("user,password", [
    ("farmer", "wrong"), ("farmer", ""), ("nobody", "correct horse"), (None, None)])
def test_a_wrong_password_is_refused(secured, started, authority, version, user, password):
    client = Client(secured.port, "wrong", version=version, host="localhost", user=user,
                    password=password, ca_file=authority.certificate)
    started.append(client)
    reason = client.refused()
    assert reason.value in (0x86, 0x87), reason
    assert "correct horse" not in secured.process.output


def test_the_first_program_of_a_hivemq_cloud_user(secured, connect, authority):
    """TLS, user and password; subscribe encyclopedia/# at QoS 1; publish `hot` at QoS 1."""
    client = connect(secured.port, "", version="5", host="localhost", user="farmer",
                     password=USERS["farmer"], ca_file=authority.certificate)
    assert [c.value for c in client.subscribe("encyclopedia/#", qos=1)] == [1]
    client.publish("encyclopedia/temperature", "hot", 1)
    assert client.received(1) == [b"hot"]
    assert client.topics() == ["encyclopedia/temperature"]


def test_a_plain_client_on_a_tls_port_does_no_harm(secured, connect, authority):
    import socket
    with socket.create_connection(("127.0.0.1", secured.port)) as stranger:
        stranger.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        stranger.settimeout(10)
        try:
            assert stranger.recv(100)[:1] in (b"", b"\x15")  # closed, or a TLS alert
        except ConnectionResetError:
            pass
    connect(secured.port, "after", host="localhost", user="farmer", password=USERS["farmer"],
            ca_file=authority.certificate)


def test_mosquitto_bridge_takes_from_fleet_broker(fleet_broker, mosquitto, connect):
    """Mosquitto's own bridge (protocol level with bit 0x80) connects and forwards."""
    broker = fleet_broker()
    edge = mosquitto("allow_anonymous true\n"
                     f"connection up\naddress 127.0.0.1:{broker.port}\n"
                     "bridge_protocol_version mqttv311\ntopic # out 1\n")
    subscriber = connect(broker.port, "subscriber")
    subscriber.subscribe("from/edge", qos=1)
    broker.process.wait_for("client connected.*bridge=true|client connected.*client=.*up")
    publisher = connect(edge.port, "publisher")
    publisher.publish("from/edge", b"x", 1)
    assert subscriber.received(1) == [b"x"]
