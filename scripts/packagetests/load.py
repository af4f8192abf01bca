"""Upgrades, roll-back and a new libssl while messages flow, with all that broker and bridge hold."""

import json
import re
import subprocess
import time

from fleetdeb import archives, containers, network

from . import strict
from .support import DAEMONS, blocks, client, has_clients, pid, put, starts_of, use

CLOUD = "192.0.2.2"
TLS = """
[[listener]]
address = "127.0.0.1:1883"
allow_anonymous = true
[[listener]]
name = "tls"
address = "127.0.0.1:8883"
allow_anonymous = true
tls = { certificate = "/etc/fleet/credentials/broker/server.crt", key = "/etc/fleet/credentials/broker/server.key" }
"""
# No network leads there until the end.
UPSTREAM = f"""
[upstream]
name = "cloud"
url = "mqtt://{CLOUD}:1883"
[routes]
up = ["traffic/#"]
"""
MOSQUITTO = {"/etc/mosquitto/conf.d/lan.conf": "listener 1883\nallow_anonymous true\nmax_queued_messages 0\n"}
STORES = {"broker": "/var/lib/fleet/broker/broker.db", "bridge": "/var/lib/fleet/bridge/bridge.db"}

# How many rows the migration of the test has found.
COUNT = ("import sqlite3, sys; "
         'print("rows=%d" % sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM later").fetchone())')


def test_upgrade_under_load(results, tree, folder, repos, target):
    if not has_clients():
        return results.skip("an upgrade under load", "no .venv with paho-mqtt; `make deps` makes it")
    debs = archives.fetch(target.codename, containers.root(target), target.suites,
                          ["install", "--reinstall", "libssl3t64" if target.number >= 13 else "libssl3"])
    binds = [(repos["both"], "/repository/both"), (repos["next"], "/repository/next"), (debs, "/debs")]
    with network.Network() as lan, \
            containers.Container("cloud", tree, folder, with_mosquitto=True, files=MOSQUITTO) as cloud, \
            containers.Container("edge", tree, folder, binds, files=strict.FILES) as edge:
        lan.join(cloud)
        install(edge, target)
        collector = start(lan.command(client("collect.py", CLOUD, 1883, "traffic/counted")))
        left = at_edge(edge, "mailbox.py", "127.0.0.1", 1883, "leave")
        flow = start(inside(edge, "traffic.py", "127.0.0.1", 8883, root_of(edge) + "/root/server.crt"))
        before = {daemon: (pid(edge, daemon), starts_of(edge, daemon)) for daemon in DAEMONS}
        use(edge, "/repository/next", target)
        time.sleep(0.5)
        upgrade(results, edge, before)
        new_libssl(results, edge)
        count(results, flow, collector, lambda: lan.join(edge))
        found = at_edge(edge, "mailbox.py", "127.0.0.1", 1883, "collect")
        results.check("the broker kept sessions, what waits in them, and retained messages", found == left,
                      f"{found}" if found != left else f"{found['queued']} and {found['retained']}")
        go_back(results, edge, target, left)
        strict.check(results, edge)


def root_of(container):
    return f"/proc/{container.leader}/root"


def inside(container, script, *arguments):
    return ["nsenter", "--net", "--target", str(container.leader), *client(script, *arguments)]


def at_edge(edge, *words):
    return json.loads(subprocess.run(inside(edge, *words), capture_output=True, text=True, check=True).stdout)


def start(command):
    """A client that runs beside; it has said that it is ready."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def install(edge, target):
    use(edge, "/repository/both", target)
    edge.output("apt-get install -q -y fleet-edge")
    edge.output(blocks("operate/lan.md", "sh")[1] + "cp server.crt /root")
    put(edge, "/etc/fleet/broker.d/20-tls.toml", TLS)
    put(edge, "/etc/fleet/bridge.d/20-upstream.toml", UPSTREAM)
    edge.output("systemctl restart fleet-broker fleet-bridge")


def upgrade(results, edge, before):
    """First the broker alone, as apt does not by itself: it would take all packages of a source together."""
    done = edge.run("apt-get install -q -y -o APT::Get::Upgrade-By-Source-Package=false fleet-broker")
    others = [daemon for daemon in ("agent", "bridge") if pid(edge, daemon) != before[daemon][0]]
    done_all = edge.run("apt-get dist-upgrade -q -y")
    is_right = done.returncode == 0 and done_all.returncode == 0
    results.check("an upgrade under load, to stores of another format", is_right,
                  failure=done.stdout[-800:] + done_all.stdout[-800:])
    results.check("those whose packages did not change run on", not others, " ".join(others))
    restarts = {daemon: starts_of(edge, daemon) - before[daemon][1] for daemon in DAEMONS}
    results.check("each daemon was restarted once", set(restarts.values()) == {1}, f"{restarts}")
    for daemon, store in STORES.items():
        told = edge.run(f"fleet-{daemon} store format && ls {store}.format-1 && "
                        f"fleet-{daemon} store backup /root/{daemon}.db && "
                        f"python3 -c '{COUNT}' /root/{daemon}.db").stdout
        rows = re.search(r"^rows=(\d+)$", told, re.M)
        is_right = "store_format=2" in told and rows is not None and int(rows[1]) > 0
        results.check(f"fleet-{daemon} has migrated its store, and kept a copy", is_right,
                      f"{rows[1]} rows" if rows else "", failure=told)


def new_libssl(results, edge):
    """The real package, unpacked by dpkg over the one that is there."""
    before = {daemon: pid(edge, daemon) for daemon in DAEMONS}
    users = {daemon for daemon in DAEMONS if "libssl.so" in edge.output(f"cat /proc/{before[daemon]}/maps")}
    done = edge.run("echo 'deb [trusted=yes] file:/debs ./' > /etc/apt/sources.list.d/debian.list && "
                    "apt-get update -q && apt-get install -q -y --reinstall '^libssl3(t64)?$'")
    restarted = {daemon for daemon in DAEMONS if pid(edge, daemon) != before[daemon]}
    is_right = done.returncode == 0 and restarted == users and "broker" in users
    results.check("libssl reinstalled under load restarts just the daemons that have it in memory", is_right,
                  " ".join(sorted(restarted)) if is_right else f"{restarted}, not {users}: {done.stdout[-500:]}")


def count(results, flow, collector, appear):
    time.sleep(0.5)
    told = json.loads(flow.communicate(input="", timeout=60)[0])
    results.check("every message came", told["sent"] > 300 and not told["missing"],
                  f"{told['sent']} sent, {len(told['missing'])} missing")
    results.check("none of QoS 2 came twice", not told["doubled"], f"{told['doubled']} doubled")
    results.check("the broker was away for less than two seconds", told["gap"] < 2, f"{told['gap']} s")
    begin = time.monotonic()
    appear()
    upstream = json.loads(collector.communicate(input=f"{told['sent']}\n", timeout=90)[0])
    results.check("the bridge delivers its backlog once its upstream appears", not upstream["missing"],
                  f"{told['sent']} messages, {len(upstream['missing'])} missing, {upstream['repeated']} twice, "
                  f"{time.monotonic() - begin:.1f} s")


def go_back(results, edge, target, left):
    """docs/start/install.md, and what preinst says."""
    built = edge.output("apt-cache madison fleet-broker | cut -d'|' -f2").split()[1]
    before = pid(edge, "broker")
    install = f"apt-get install -q -y --allow-downgrades fleet-broker={built}"
    done = edge.run(install)
    is_right = done.returncode != 0 and pid(edge, "broker") == before and "store restore" in done.stdout
    results.check("a version that cannot read the store's format is refused, and the daemon runs on", is_right,
                  failure=done.stdout[-1500:])
    page = next(block for block in blocks("start/install.md", "sh") if "store restore" in block)
    back = edge.run(f"set -e\n{page.replace('VERSION', built)}\n"
                    "systemctl is-active fleet-broker && fleet-broker store format", input="y\n")
    found = at_edge(edge, "mailbox.py", "127.0.0.1", 1883, "collect") if back.returncode == 0 else {}
    is_right = "store_format=1" in back.stdout and found == left
    results.check("store restore and apt install fleet-broker=OLD --allow-downgrades bring back the old",
                  is_right, failure=f"{found}: {back.stdout[-1500:]}")
