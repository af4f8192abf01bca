"""MQTT clients beside the virtual Pi, by paho: a program of its own, run with .venv's Python.

    clients.py subscribe HOST SESSION FILTER     makes a session that outlives its connection, and ends
    clients.py publish HOST RATE TOPIC FIRST     publishes the numbers from FIRST on, the even ones at QoS 1, the
                                                 odd ones at QoS 2, and prints each that is acknowledged, until its
                                                 input ends and all are, or it is killed
    clients.py collect HOST SESSION QUIET        prints the payload of each message of the session, until none came
                                                 for QUIET seconds
"""

import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 60
WINDOW = 100


def connected(host, name, lasting, prepare=lambda _: None):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    prepare(client)
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = 24 * 3600 if lasting else 0
    there = threading.Event()
    client.on_connect = lambda *_: there.set()
    end = time.monotonic() + PATIENCE
    while True:
        try:
            client.connect(host, 1883, keepalive=60, clean_start=not lasting, properties=kept)
            break
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"clients: {host}: {error}")
            time.sleep(0.2)
    client.loop_start()
    if not there.wait(PATIENCE):
        sys.exit(f"clients: {host} does not answer")
    return client


def leave(client):
    client.disconnect()
    client.loop_stop()


def subscribe(host, session, topic_filter):
    done = threading.Event()
    client = connected(host, session, True)
    client.on_subscribe = lambda *_: done.set()
    client.subscribe(topic_filter, qos=2)
    if not done.wait(PATIENCE):
        sys.exit("clients: not subscribed")
    leave(client)


def publish(host, rate, topic, first):
    numbers, changed, stopped = {}, threading.Condition(), threading.Event()

    def on_publish(_client, _data, mid, reason, _properties):
        with changed:
            if reason.is_failure:
                sys.exit(f"clients: refused: {reason}")
            print(numbers.pop(mid), flush=True)
            changed.notify_all()

    client = connected(host, "publisher", False, lambda made: setattr(made, "on_publish", on_publish))
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    begin, number = time.monotonic(), int(first)
    while not stopped.is_set():
        with changed:
            changed.wait_for(lambda: len(numbers) < WINDOW, PATIENCE)
            # The same lock as that of `on_publish`: it finds the number.
            numbers[client.publish(topic, str(number), qos=1 + number % 2).mid] = number
        number += 1
        time.sleep(max(0, begin + (number - int(first)) / float(rate) - time.monotonic()))
    with changed:
        changed.wait_for(lambda: not numbers, PATIENCE)
    leave(client)


def collect(host, session, quiet):
    last = time.monotonic()

    def on_message(_client, _data, message):
        nonlocal last
        last = time.monotonic()
        print(message.payload.decode(), flush=True)

    client = connected(host, session, True, lambda made: setattr(made, "on_message", on_message))
    last = time.monotonic()
    while time.monotonic() < last + float(quiet):
        time.sleep(0.1)
    leave(client)


if __name__ == "__main__":
    {"subscribe": subscribe, "publish": publish, "collect": collect}[sys.argv[1]](*sys.argv[2:])
