"""`make demo` as a new user runs it: nothing that was measured is missing after the outage."""

import os
import re

import pytest

from fleetlab.processes import ROOT, program, run


@pytest.mark.parametrize("upstream", ["fleet", "mosquitto"])
def test_demo_loses_nothing(upstream):
    folder = os.path.dirname(program("fleet"))
    done = run([ROOT / "scripts" / "demo"], seconds=240,
               environment={"UPSTREAM": upstream, "FLEET_BIN_DIR": folder})
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"measured (\d+), received (\d+), missing (\d+), duplicate (\d+), "
                       r"out of order (\d+)", done.stdout)
    measured, received, missing, _, out_of_order = map(int, counts.groups())
    assert measured > 1000 and received >= measured
    assert (missing, out_of_order) == (0, 0)


def test_the_comparison_finds_what_is_missing_double_or_late():
    from fleetlab.comparison import compare
    measured = {("m/a", n): (f"t{n}", str(n)) for n in range(1, 6)}
    received = [("m/a", 1, "t1", 1), ("m/a", 3, "t3", 3), ("m/a", 2, "t2", 2),
                ("m/a", 3, "t3", 3), ("m/a", 4, "t4", 99)]
    result = compare(measured, received)
    assert (result.measured, result.received) == (5, 5)
    assert (result.missing, result.duplicate, result.out_of_order, result.different) == (1, 1, 1, 1)
