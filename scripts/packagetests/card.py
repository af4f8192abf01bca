"""docs/operate/backup.md, by its own commands: a Pi on a new card, and back from a copy."""

import json
import shutil

from fleetdeb import containers

from .load import CLOUD, at_edge
from .support import DAEMONS, blocks, has_clients, put, use, wait_for

UPSTREAM = f'[upstream]\nname = "cloud"\nurl = "mqtt://{CLOUD}:1883"\n[routes]\nup = ["plant/#"]\n'
BACKLOG = 20


def test_new_card(results, tree, folder, binds, target):
    if not has_clients():
        return results.skip("a new card", "no .venv with paho-mqtt; `make deps` makes it")
    pack, unpack, copy, restore = blocks("operate/backup.md", "sh")
    with containers.Container("old-card", tree, folder, binds) as old, \
            containers.Container("new-card", tree, folder, binds) as new:
        for machine in (old, new):
            use(machine, "/repository/both", target)
            machine.output("apt-get install -q -y fleet-edge")
        put(old, "/etc/fleet/bridge.d/20-upstream.toml", UPSTREAM)
        old.output("systemctl restart fleet-bridge")
        left = at_edge(old, "mailbox.py", "127.0.0.1", 1883, "leave")
        old.output(f"for n in $(seq {BACKLOG}); do fleet pub plant/$n $n; done")
        wait_for(lambda: backlog(old) == BACKLOG, 10)
        before, held = instances(old), backlog(old)
        old.output(copy)
        old.output(pack)
        carry("fleet.tar.gz", old, new)
        # A reboot would be another boot of this machine's kernel; each container is one already.
        new.output(unpack.replace("sudo reboot", "systemctl start fleet-broker fleet-agent fleet-bridge"))
        is_right = instances(new) == before and wait_for(lambda: backlog(new) == held == BACKLOG, 10)
        results.check("on the new card each daemon is who it was, and the bridge has its backlog", is_right,
                      f"{held} messages", f"{before} {instances(new)}, {held} {backlog(new)}")
        found = at_edge(new, "mailbox.py", "127.0.0.1", 1883, "collect")
        results.check("sessions, what waits in them, and retained messages came along", found == left,
                      failure=f"{found}")
        # The copy was made before: what was collected since waits again.
        new.output(f"mkdir -p /root/copy && systemctl stop {' '.join(f'fleet-{name}' for name in DAEMONS)}")
        for name in ("broker.db", "bridge.db", "rest.tar.gz"):
            carry(f"copy/{name}", old, new)
        new.output(f"{restore}\nsystemctl start fleet-broker fleet-agent fleet-bridge")
        found = at_edge(new, "mailbox.py", "127.0.0.1", 1883, "collect")
        # What the bridge had stored and the broker's copy still holds comes a second time.
        is_right = wait_for(lambda: backlog(new) >= BACKLOG, 20) and found == left
        results.check("a copy that was made while everything ran is as it was then", is_right,
                      failure=f"{found}, {backlog(new)}")


def instances(machine):
    return machine.output("cd /var/lib/fleet && head -c 200 */instance")


def backlog(machine):
    """How many messages the bridge has stored, as it says; each node of the site shows it."""
    told = machine.run("fleet status -o json").stdout
    nodes = json.loads(told)["nodes"] if told.startswith("{") else []
    return max((node.get("queue", 0) for node in nodes), default=0)


def carry(name, old, new):
    shutil.copy2(f"/proc/{old.leader}/root/root/{name}", f"/proc/{new.leader}/root/root/{name}")
