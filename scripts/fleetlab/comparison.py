"""Compares what agents measured with what arrived elsewhere."""

import collections
import dataclasses
import json
import pathlib

EXAMPLES_MAXIMUM = 5


@dataclasses.dataclass
class Result:
    """Counts of measurements; `examples` says of a few what is wrong with them."""

    measured: int = 0
    received: int = 0
    missing: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    different: int = 0
    examples: list = dataclasses.field(default_factory=list)

    def note(self, text):
        if len(self.examples) < EXAMPLES_MAXIMUM:
            self.examples.append(text)


def measured_by(files):
    """{(topic, n): (t, v)} of the lists that agents keep: topic, n, t, v by tabs, a line each."""
    found = {}
    for file in map(pathlib.Path, files):
        for line in file.read_text().splitlines():
            topic, number, time, value = line.split("\t")
            found[topic, int(number)] = (time, value)
    return found


def received_by(lines):
    """[(topic, n, t, v)] in order of arrival, of `fleet sub -o json` lines."""
    found = []
    for line in lines:
        if not line.startswith("{"):
            continue
        message = json.loads(line)
        payload = message["payload"]
        if isinstance(payload, str):
            payload = json.loads(payload)
        found.append((message["topic"], payload["n"], payload.get("t", ""), payload.get("v", "")))
    return found


def compare(measured, received):
    """What is missing, came twice, came after a later one of its topic, or has another value."""
    result = Result(measured=len(measured), received=len(received))
    seen = collections.Counter()
    latest = {}
    for topic, number, time, value in received:
        seen[topic, number] += 1
        if seen[topic, number] > 1:
            result.duplicate += 1
            continue
        if number < latest.get(topic, -1):
            result.out_of_order += 1
            result.note(f"out of order: {topic} n={number} after n={latest[topic]}")
        latest[topic] = max(number, latest.get(topic, -1))
        expected = measured.get((topic, number))
        if expected and (expected[0] != time or not same_value(expected[1], value)):
            result.different += 1
            result.note(f"different: {topic} n={number} measured {expected}, got {(time, value)}")
    for topic, number in measured:
        if not seen[topic, number]:
            result.missing += 1
            result.note(f"missing: {topic} n={number}")
    return result


def same_value(text, value):
    if text == "":
        return value in ("", None)
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, (int, float)):
        return float(text) == float(value)
    return text == str(value)
