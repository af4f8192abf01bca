"""Collects what comes to a topic filter, for whoever knows how much it has to be.

Usage: collect.py HOST PORT FILTER. Says `subscribed`; then reads a number from its input, waits until as many
different payloads have come, 0 to number-1, and prints as one line of JSON which are missing and how many came
more than once.
"""

import collections
import json
import sys
import threading
import time

from traffic import PATIENCE, client


def main():
    received, subscribed = collections.Counter(), threading.Event()
    collector = client("collector", sys.argv[1], int(sys.argv[2]))
    collector.on_message = lambda _client, _data, message: received.update([int(message.payload)])
    collector.on_subscribe = lambda *_: subscribed.set()
    collector.loop_start()
    collector.subscribe(sys.argv[3], qos=2)
    if not subscribed.wait(PATIENCE):
        sys.exit("collect: not subscribed")
    print("subscribed", flush=True)
    wanted = int(sys.stdin.readline())
    end = time.monotonic() + PATIENCE
    while len(received) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    collector.disconnect()
    collector.loop_stop()
    print(json.dumps({"missing": [number for number in range(wanted) if not received[number]],
                      "repeated": sum(1 for count in received.values() if count > 1)}))


if __name__ == "__main__":
    main()
