"""The retained messages of a broker below some filters, by a client that is not Fleet's.

Usage: retained.py HOST PORT FILTER...: prints one JSON object, payloads as text by their topics.
"""

import json
import sys
import time

import paho.mqtt.client as mqtt

# A broker sends them at once; nothing says which is the last.
SILENCE = 0.3
PATIENCE = 20


def main():
    found, last = {}, [None]
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda *_: client.subscribe([(name, 1) for name in sys.argv[3:]])

    def on_message(_client, _data, message):
        last[0] = time.monotonic()
        if message.retain:
            found[message.topic] = message.payload.decode()

    client.on_message = on_message
    client.on_subscribe = lambda *_: last.__setitem__(0, time.monotonic())
    client.connect(sys.argv[1], int(sys.argv[2]))
    end = time.monotonic() + PATIENCE
    while last[0] is None or time.monotonic() < last[0] + SILENCE:
        client.loop(0.05)
        if time.monotonic() > end:
            sys.exit("retained: no end of them")
    client.disconnect()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
