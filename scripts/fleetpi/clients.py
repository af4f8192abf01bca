"""MQTT clients beside the virtual Pi, by paho: a program of its own, run with .venv's Python.

    clients.py subscribe ADDRESS SESSION FILTER  makes a session that outlives its connection, and ends
    clients.py publish ADDRESS RATE TOPIC FIRST  publishes the numbers from FIRST on, the even ones at QoS 1, the
                                                 odd ones at QoS 2, and prints each that is acknowledged, until its
                                                 input ends and all are, or it is killed
    clients.py collect ADDRESS SESSION QUIET     prints the payload of each message of the session, until none came
                                                 for QUIET seconds

Without threads: paho calls back with locks held that `publish` wants as well.
"""

import select
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 60
WINDOW = 100


def connected(address, name, lasting, **callbacks):
    host, port = address.split(":")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    for callback, function in callbacks.items():
        setattr(client, callback, function)
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = 24 * 3600 if lasting else 0
    end = time.monotonic() + PATIENCE
    while True:
        try:
            client.connect(host, int(port), keepalive=60, clean_start=not lasting, properties=kept)
            break
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"clients: {address}: {error}")
            time.sleep(0.2)
    turn_until(client, client.is_connected)
    return client


def turn(client):
    error = client.loop(0.01)
    if error != mqtt.MQTT_ERR_SUCCESS:
        sys.exit(f"clients: the connection is gone: {mqtt.error_string(error)}")


def turn_until(client, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        turn(client)
        if time.monotonic() > end:
            sys.exit(f"clients: waited {PATIENCE} s for an answer")


def subscribe(address, session, topic_filter):
    granted = []
    client = connected(address, session, True, on_subscribe=lambda *_: granted.append(True))
    client.subscribe(topic_filter, qos=2)
    turn_until(client, lambda: granted)
    client.disconnect()


def publish(address, rate, topic, first):
    numbers = {}

    def on_publish(_client, _data, mid, reason, _properties):
        if reason.is_failure:
            sys.exit(f"clients: refused: {reason}")
        print(numbers.pop(mid), flush=True)

    client = connected(address, f"publisher of {topic}", False, on_publish=on_publish)
    begin, sent = time.monotonic(), 0
    # The input becomes readable when it ends.
    while not select.select([sys.stdin], [], [], 0)[0]:
        turn(client)
        if len(numbers) < WINDOW and sent < (time.monotonic() - begin) * float(rate):
            number = int(first) + sent
            numbers[client.publish(topic, str(number), qos=1 + number % 2).mid] = number
            sent += 1
    turn_until(client, lambda: not numbers)
    client.disconnect()


def collect(address, session, quiet):
    last = time.monotonic()

    def on_message(_client, _data, message):
        nonlocal last
        last = time.monotonic()
        print(message.payload.decode(), flush=True)

    client = connected(address, session, True, on_message=on_message)
    last = time.monotonic()
    while time.monotonic() < last + float(quiet):
        turn(client)
    client.disconnect()


if __name__ == "__main__":
    {"subscribe": subscribe, "publish": publish, "collect": collect}[sys.argv[1]](*sys.argv[2:])
