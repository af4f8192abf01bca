"""Runs scenarios beside one another, each in a process of its own, and counts what they find."""

import multiprocessing
import multiprocessing.connection
import signal
import sys
import time
import traceback

from fleetdeb.tell import Failure, Unavailable


class Results:
    """Shared by all processes; one line for each check, with its scenario's name."""

    def __init__(self):
        self.counts = {name: multiprocessing.Value("i") for name in ("passed", "failed", "skipped")}
        self.scenario = ""

    def __getattr__(self, name):
        return self.counts[name].value

    def note(self, name, line):
        with self.counts[name].get_lock():
            self.counts[name].value += 1
        # In one piece, so that no other process's line comes between.
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def check(self, what, is_right, detail="", failure=""):
        """`detail` is told in any case, `failure` with one."""
        detail = detail if is_right else failure or detail
        self.note("passed" if is_right else "failed", f"{'ok  ' if is_right else 'FAIL'}  {self.scenario}: {what}"
                  + (f" ({detail})" if detail else ""))

    def skip(self, what, reason):
        self.note("skipped", f"SKIP  {self.scenario}: {what}: {reason}")


def end(*_):
    """Once: what is undone then is not interrupted."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def run(scenarios, jobs):
    """`scenarios`: {name: function that takes results}. At an interrupt all of them end in order."""
    results, waiting, running = Results(), list(scenarios.items()), {}
    signal.signal(signal.SIGTERM, end)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name, function = waiting.pop(0)
                process = multiprocessing.Process(target=one, args=(name, function, results))
                process.start()
                running[process.sentinel] = process
            for sentinel in multiprocessing.connection.wait(running):
                running.pop(sentinel).join()
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()
    return results


def one(name, function, results):
    # Ctrl-C reaches all; the first process ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results.scenario, begin = name, time.monotonic()
    try:
        function(results)
    except Unavailable as reason:
        results.skip("the rest of it", str(reason))
    except Failure as failure:
        results.check("came to its end", False, str(failure))
    except Exception:
        results.check("came to its end", False, traceback.format_exc())
    else:
        print(f"      {name}: {time.monotonic() - begin:.0f} s", flush=True)
