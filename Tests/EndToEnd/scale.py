"""How much of it: `make test` takes a little of what has no end, `make ci-long` much more."""

import os

IS_LONG = "FLEET_LONG" in os.environ


def scaled(normal, long):
    return long if IS_LONG else normal
