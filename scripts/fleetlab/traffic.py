"""A steady flow of counted messages through a broker, for what must not lose any: an upgrade, a restart.

Usage: traffic.py HOST PORT, until its input ends. Half of the messages have QoS 1 and half QoS 2; both
clients have sessions that outlive their connections. Prints, as one line of JSON, how many were sent,
which are missing, how often one of QoS 2 came twice, and the longest time without any, in seconds.
"""

import collections
import json
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

RATE = 100
TOPIC = "traffic/counted"
PATIENCE = 30


def client(name, host, port):
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    made.reconnect_delay_set(0.05, 0.05)
    made.max_inflight_messages_set(200)
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = 3600
    made.connect(host, port, keepalive=10, clean_start=False, properties=kept)
    return made


def main():
    host, port = sys.argv[1], int(sys.argv[2])
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

    subscriber = client("traffic-subscriber", host, port)
    subscriber.on_message = on_message
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.loop_start()
    subscriber.subscribe(TOPIC, qos=2)
    if not subscribed.wait(PATIENCE):
        sys.exit("traffic: not subscribed")
    publisher = client("traffic-publisher", host, port)
    publisher.loop_start()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    print("flows", flush=True)
    sent, begin = 0, time.monotonic()
    while not stopped.wait(max(0, begin + sent / RATE - time.monotonic())):
        publisher.publish(TOPIC, str(sent), qos=1 + sent % 2)
        sent += 1
    end = time.monotonic() + PATIENCE
    while len(received) < sent and time.monotonic() < end:
        time.sleep(0.05)
    for one in (publisher, subscriber):
        one.disconnect()
        one.loop_stop()
    print(json.dumps({
        "sent": sent, "missing": [number for number in range(sent) if not received[number]],
        "doubled": sum(1 for number, count in received.items() if number % 2 == 1 and count > 1),
        "gap": round(max(gaps, default=0), 2)}))


if __name__ == "__main__":
    main()
