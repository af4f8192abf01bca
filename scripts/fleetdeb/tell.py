"""What the user sees while packages are made, and how long each step takes."""

import contextlib
import sys
import time


class Failure(Exception):
    """What keeps a package from being made, in words for the user."""


class Unavailable(Failure):
    """What this machine, or the world outside, does not have today; nothing is wrong with the tree."""


# A script's exit status for `Unavailable`: to Automake's test driver, a test that was skipped.
SKIPPED = 77


def say(text):
    print(f"deb: {text}", file=sys.stderr, flush=True)


def seconds(duration):
    return f"{duration:.0f} s" if duration < 120 else f"{duration / 60:.1f} min"


@contextlib.contextmanager
def step(text):
    """Says what begins, and how long it took; nothing of a step that fails."""
    say(f"{text} ...")
    begin = time.monotonic()
    yield
    say(f"{text}: {seconds(time.monotonic() - begin)}")
