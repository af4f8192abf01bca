"""A steady flow of counted messages through a broker, for what must not lose any: an upgrade, a restart.

Usage: traffic.py HOST PORT [CA], until its input ends; with TLS where a CA is given. Half of the messages
have QoS 1 and half QoS 2; both clients have sessions that outlive their connections. Prints, as one line of
JSON, how many were sent, which are missing, how often one of QoS 2 came twice, and the longest time without
any, in seconds.

paho 2.1 doubles a message of QoS 2 itself where the connection ended between its PUBREL and the PUBCOMP, and an
attempt to connect again fails: each attempt resets what is under way, the first to "send PUBREL again", the second
to "publish". So the publisher asks first whether somebody listens.
"""

import collections
import json
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

RATE = 100
TOPIC = "traffic/counted"
PATIENCE = 30
# Of sessions: a container that takes another's for its own counts from this machine's boot on.
EXPIRY_SECONDS = 30 * 86_400


def client(name, host, port, ca=None):
    """A client with a session that outlives its connection."""
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    if ca:
        made.tls_set(ca)
        # Whatever names the certificate has: the address is the network's, and the CA this certificate.
        made.tls_insecure_set(True)
    made.reconnect_delay_set(0.05, 0.05)
    made.max_inflight_messages_set(200)
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = EXPIRY_SECONDS
    made.connect(host, port, keepalive=10, clean_start=False, properties=kept)
    return made


def turn(publisher):
    """A hundredth of a second of a client without a thread; a connection that is gone comes again."""
    if publisher.loop(0.01) == mqtt.MQTT_ERR_SUCCESS:
        return
    try:
        socket.create_connection((publisher.host, publisher.port), 1).close()
        publisher.reconnect()
    except OSError:
        time.sleep(0.05)


def main():
    host, port, *ca = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
    received, gaps = collections.Counter(), []
    last = None
    subscribed, stopped = threading.Event(), threading.Event()

    def on_message(_client, _data, message):
        nonlocal last
        now = time.monotonic()
        if last is not None:
            gaps.append(now - last)
        last = now
        received[int(message.payload)] += 1

    subscriber = client("traffic-subscriber", host, port, *ca)
    subscriber.on_message = on_message
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.loop_start()
    subscriber.subscribe(TOPIC, qos=2)
    if not subscribed.wait(PATIENCE):
        sys.exit("traffic: not subscribed")
    # Without a thread of paho's own: what is published meets no reconnection halfway.
    publisher = client("traffic-publisher", host, port, *ca)
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    print("flows", flush=True)
    sent, begin, unacknowledged = 0, time.monotonic(), set()
    publisher.on_publish = lambda _client, _data, mid, *_: unacknowledged.discard(mid)
    while not stopped.is_set() or unacknowledged:
        turn(publisher)
        while publisher.is_connected() and not stopped.is_set() \
                and sent < (time.monotonic() - begin) * RATE:
            unacknowledged.add(publisher.publish(TOPIC, str(sent), qos=1 + sent % 2).mid)
            sent += 1
    end = time.monotonic() + PATIENCE
    while len(received) < sent and time.monotonic() < end:
        time.sleep(0.05)
    publisher.disconnect()
    subscriber.disconnect()
    subscriber.loop_stop()
    print(json.dumps({
        "sent": sent, "missing": [number for number in range(sent) if not received[number]],
        "doubled": sum(1 for number, count in received.items() if number % 2 == 1 and count > 1),
        "gap": round(max(gaps, default=0), 2)}))


if __name__ == "__main__":
    main()
