"""Leaves messages with a broker, for a client that is away and for whoever comes, and asks for them later.

Usage: mailbox.py HOST PORT leave | collect. `collect` prints as one line of JSON whether the broker had the
session, how many of the messages that were queued for it came, and how many retained ones there are; `leave`
says how many there have to be.
"""

import json
import sys
import time

from traffic import PATIENCE, client

COUNT = 50
QUEUED, RETAINED = "mailbox/queued", "mailbox/retained"


def wait_for(clients, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        for each in clients:
            each.loop(0.02)
        if time.monotonic() > end:
            return False
    return True


def leave(host, port):
    absent, sender = client("mailbox", host, port), client("mailbox-sender", host, port)
    done, acknowledged = [], set()
    absent.on_subscribe = lambda *_: done.append("subscribed")
    absent.subscribe(f"{QUEUED}/#", qos=2)
    if not wait_for([absent], lambda: done):
        sys.exit("mailbox: not subscribed")
    absent.disconnect()
    sender.on_publish = lambda _client, _data, mid, *_: acknowledged.add(mid)
    for number in range(COUNT):
        sender.publish(f"{QUEUED}/{number}", str(number), qos=1 + number % 2)
        sender.publish(f"{RETAINED}/{number}", str(number), qos=1, retain=True)
    if not wait_for([sender], lambda: len(acknowledged) == 2 * COUNT):
        sys.exit("mailbox: not all were acknowledged")
    sender.disconnect()
    print(json.dumps({"session": True, "queued": COUNT, "retained": COUNT}))


def collect(host, port):
    queued, retained, session = set(), set(), []
    present = client("mailbox", host, port)
    present.on_connect = lambda _client, _data, flags, *_: session.append(flags.session_present)

    def on_message(_client, _data, message):
        (retained if message.retain else queued).add(message.topic)

    present.on_message = on_message
    wait_for([present], lambda: session)
    present.subscribe(f"{RETAINED}/#", qos=1)
    wait_for([present], lambda: len(queued) >= COUNT and len(retained) >= COUNT)
    present.unsubscribe(f"{RETAINED}/#")
    present.disconnect()
    print(json.dumps({"session": bool(session and session[0]), "queued": len(queued),
                      "retained": len(retained)}))


if __name__ == "__main__":
    {"leave": leave, "collect": collect}[sys.argv[3]](sys.argv[1], int(sys.argv[2]))
