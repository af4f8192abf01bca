"""What the kernel says of a process: processor time, memory, bytes written."""

import os
import pathlib
import resource
import time


def cpu_seconds(pid):
    """CPU time of all threads, from schedstat (nanoseconds, Documentation/scheduler)."""
    return sum(int(task.joinpath("schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def memory(pid):
    """Resident, anonymous and proportional size in bytes, from smaps_rollup."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            sizes[name] = int(value.split()[0]) * 1024
    return {"resident": sizes["Rss"], "anonymous": sizes["Anonymous"], "pss": sizes["Pss"]}


def settled_memory(pid):
    """Memory when it has stopped changing for half a second."""
    last, since = memory(pid), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.05)
        now = memory(pid)
        if now["resident"] != last["resident"]:
            last, since = now, time.monotonic()
    return last


def written_bytes(pid):
    """Bytes that the process had the kernel write to storage, from /proc/PID/io."""
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel does not count bytes written (CONFIG_TASK_IO_ACCOUNTING)")


def pinned(core, arguments):
    """On one core where there are several."""
    several = (os.cpu_count() or 1) > 1
    return (["taskset", "-c", str(core)] if several else []) + [str(a) for a in arguments]


def allow_descriptors(count):
    """Raises this process's limit, which what it starts inherits; says whether it could."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
        return True
    except (ValueError, OSError):
        return False
