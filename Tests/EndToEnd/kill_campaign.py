"""A broker that is killed again and again while the clients of kill_clients.py are at work."""

import random
import selectors
import time

import mqtt_wire as mqtt
from kill_clients import Publisher, Result, Subscriber

SELECT_SECONDS = 0.002


class Campaign:
    """Runs the clients of one seed against one broker: an object with port, kill() and start()."""

    def __init__(self, broker, seed, window=40, sizes=(0, 10, 200, 2_000), lag=3_000):
        self.broker, self.random = broker, random.Random(seed)
        self.start_again = broker.start
        self.result = Result(seed)
        self.selector = selectors.DefaultSelector()
        self.generation, self.is_up, self.lag = 0, True, lag
        # Whose connection ended; it is a fault unless the broker has died.
        self.closed_by_broker = []
        topics = [f"load/{n}" for n in range(4)] + ["kept/0", "kept/1"]
        self.publishers = [
            Publisher(self, f"p{n}", version, topics if n else topics[:2], window, sizes)
            for n, version in enumerate(("3.1.1", "5", "3.1", "5"))]
        # Only one publisher has a retained topic, else nobody knows which message is the last.
        for number, publisher in enumerate(self.publishers):
            kept = f"kept/{number - 1}"
            publisher.topics = [t for t in publisher.topics if t[:5] != "kept/" or t == kept]
        self.subscribers = [
            Subscriber(self, f"s{n}", version, topic_filter, qos)
            for n, (version, topic_filter, qos) in enumerate((
                ("3.1.1", "#", 2), ("5", "load/+", 1), ("5", "#", 2), ("3.1", "load/1", 2),
                ("3.1.1", "+/0", 1)))]
        self.clients = self.publishers + self.subscribers

    # What the loop does, once.
    def step(self, publishes=True):
        for client in self.clients:
            if client.socket is None and self.is_up:
                client.open()
        for key, _ in self.selector.select(SELECT_SECONDS):
            key.data.readable()
        for publisher in self.publishers:
            if publishes and publisher.is_connected and self._lag() < self.lag:
                publisher.publish_more()
        for subscriber in self.subscribers:
            if subscriber.is_connected:
                subscriber.answer(self.random.choice((0, 1, 30, 200)))
        for client in self.clients:
            client.flush()

    def _lag(self):
        """How far the slowest subscriber is behind; its queue at the broker has a limit."""
        wanted, got = self._wanted(self.subscribers[0]), self.subscribers[0].next
        return sum(wanted.values()) - sum(got.values())

    def _wanted(self, subscriber):
        level = subscriber.filter.split("/")
        return {(topic, publisher.client_id, qos): count
                for publisher in self.publishers for (topic, qos), count in publisher.numbers.items()
                if all(a in ("+", "#", b) for a, b in zip(level, topic.split("/")))}

    def until(self, condition, seconds=60, publishes=True):
        """Run until the condition holds; False when nothing goes on any more for so long."""
        progress, since = None, time.monotonic()
        while not condition():
            now = (self.result.acknowledged, self.result.received)
            if now != progress:
                progress, since = now, time.monotonic()
            elif time.monotonic() - since > seconds:
                return False
            self.step(publishes)
        return True

    def begin(self):
        """Connect and subscribe everyone, before anything is published."""
        ready = self.until(
            lambda: all(c.is_connected for c in self.clients)
            and all(s.is_subscribed for s in self.subscribers), publishes=False)
        assert ready, "the clients cannot connect and subscribe"

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.random.random() < 0.01:
                self.random.choice(self.clients).close()
            self.step()

    def _blame(self):
        """Nobody may have been disconnected by a broker that lives on."""
        for client_id in self.closed_by_broker:
            self.result.note("protocol_faults", f"{client_id} was disconnected by a living broker")

    def kill(self):
        """The broker dies now, whatever it is at, and starts again."""
        self._blame()
        self.is_up = False
        self.broker.kill()
        self.died()

    def died(self):
        """The broker has died: whoever was connected sees what it still said, and it starts again."""
        self.is_up, self.closed_by_broker = False, []
        self.generation += 1
        for client in self.clients:
            # What it sent before it died arrives all the same.
            while client.socket is not None:
                client.readable()
        self.start_again()
        self.is_up = True
        self.result.kills += 1

    def run(self, kills, longest_seconds=0.3, patience=10):
        """Kill at random moments; some of them before everyone is back."""
        self.begin()
        for _ in range(kills):
            goal = self.result.acknowledged + self.random.choice((0, 50, 500))
            self.until(lambda: self.result.acknowledged >= goal, seconds=20)
            self.run_for(self.random.uniform(0, longest_seconds))
            self.kill()
        return self.finish(patience)

    def run_until_dead(self, steps):
        """Run until the broker has died of itself; whether it has, within so many steps."""
        for _ in range(steps):
            if not self.broker.process.is_running():
                self.died()
                return True
            self.step()
        return False

    def finish(self, seconds=10):
        """Nothing new is published; whatever is on its way arrives, and is counted."""
        self.until(lambda: all(p.is_idle() for p in self.publishers), seconds, False)
        self.until(lambda: all(self._has_all(s) for s in self.subscribers), seconds, False)
        for _ in range(20):
            self.step(publishes=False)
        self._blame()
        for publisher in self.publishers:
            if not publisher.is_idle():
                self.result.note("missing", f"{publisher.client_id} waits for acknowledgements",
                                 len(publisher.unacknowledged) + len(publisher.unreleased))
        for subscriber in self.subscribers:
            for key, count in self._wanted(subscriber).items():
                if subscriber.next[key] < count:
                    self.result.note("missing", f"{subscriber.client_id}: {key} from number "
                                     f"{subscriber.next[key]} on", count - subscriber.next[key])
        self._check_retained()
        for client in self.clients:
            client.close()
        return self.result

    def _has_all(self, subscriber):
        return all(subscriber.next[key] >= count
                   for key, count in self._wanted(subscriber).items())

    def _check_retained(self):
        expected = {t: p for publisher in self.publishers
                    for t, p in publisher.last_retained.items()}
        reader = mqtt.Wire(self.broker.port)
        reader.connect("reader")
        reader.subscribe("kept/#")
        got = {p.topic.decode(): p.payload for p in reader.sync() if p.kind == mqtt.PUBLISH}
        reader.close()
        for topic, payload in expected.items():
            if got.get(topic) != payload:
                self.result.note("retained_wrong", f"{topic} is {got.get(topic, b'')[:30]}, "
                                 f"not {payload[:30]}")
