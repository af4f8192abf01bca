"""Nothing that a daemon asks of the kernel is denied by its sandbox.

A denied call is EPERM for the daemon, and nobody is told. Here systemd has the kernel end the process instead,
so that a denial is a failed unit with SIGSYS in the journal.
"""

from .support import DAEMONS

# As systemd shows `kill`.
KILL = str(2**31 - 2)
DROP_IN = "[Service]\nSystemCallErrorNumber=kill\n"
FILES = {f"/etc/systemd/system/fleet-{daemon}.service.d/50-strict.conf": DROP_IN for daemon in DAEMONS}


def check(results, container):
    for daemon in DAEMONS:
        set_to = container.run(f"systemctl show --value -p SystemCallErrorNumber fleet-{daemon}").stdout.strip()
        told = container.run(f"journalctl --no-pager -o cat -u fleet-{daemon}").stdout
        if "status=31/SYS" in told or set_to != KILL:
            return results.check("no system call was denied", False, f"fleet-{daemon}: {set_to} " + " ".join(
                line for line in told.splitlines() if "SYS" in line))
    results.check("no system call was denied", True)


def prove(results, container):
    """A program with the same filter that asks for what it denies; else `check` would say nothing."""
    told = container.run("systemd-run --wait -p SystemCallFilter=@system-service "
                         "-p SystemCallFilter=~@privileged -p SystemCallErrorNumber=kill chown root /tmp").stdout
    results.check("a denied system call would be seen", "SYS" in told, failure=told)
