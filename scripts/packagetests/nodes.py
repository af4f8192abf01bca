"""Three machines on a LAN: the broker of one, the agents of all, as docs/operate/lan.md says."""

import json
import subprocess

from fleetdeb import containers, network

from .support import blocks, client, has_clients, put, use, wait_for

NODES = ["gateway", "barn-1", "barn-2"]
# What `fleet status -o json` shows of a node, and the topic that it stands in.
PARTS = {"status": "status", "health": "health", "info": "info", "sensors": "state"}
PASSWORD = "correct horse"


def test_three_nodes(results, tree, folder, binds, target):
    with network.Network() as lan:
        machines = [containers.Container(name, tree, folder, binds) for name in NODES]
        try:
            for machine in machines:
                machine.start()
                lan.join(machine, machine.hostname, f"{machine.hostname}.local")
                use(machine, "/repository/both", target)
            make_gateway(machines[0], machines[1:])
            for machine in machines[1:]:
                make_node(machine, machines[0])
            look(results, machines)
        finally:
            for machine in machines:
                machine.stop()


def make_gateway(gateway, others):
    """The page's own commands and drop-in."""
    gateway.output("apt-get install -q -y fleet-edge")
    user, certificate, takeover, *_ = blocks("operate/lan.md", "sh")
    for other in others:
        gateway.output(user.replace("barn-1", other.hostname).strip() + " --password-file /dev/stdin",
                       input=f"{PASSWORD}\n")
    gateway.output(certificate)
    put(gateway, "/etc/fleet/broker.d/20-lan.toml", blocks("operate/lan.md", "toml")[0])
    gateway.output(takeover)


def make_node(machine, gateway):
    machine.output("apt-get install -q -y fleet-agent fleet-cli")
    put(machine, "server.crt", gateway.output("cat /etc/fleet/credentials/broker/server.crt"))
    machine.output(blocks("operate/lan.md", "sh")[-1], input=f"{PASSWORD}\n")
    put(machine, "/etc/fleet/agent.d/50-broker.toml",
        blocks("operate/lan.md", "toml")[1].replace("barn-1", machine.hostname))
    machine.output("systemctl restart fleet-agent")


def look(results, machines):
    gateway = machines[0]
    done = wait_for(lambda: have_all(status(gateway)), 20)
    results.check("three nodes in three containers are online", done,
                  failure=gateway.run("fleet status").stdout)
    told = machines[1].run("fleet status --broker mqtts://barn-1@gateway.local:8883 --ca-file server.crt",
                           environment={"FLEET_PASSWORD": PASSWORD}).stdout
    results.check("each sees the others", told.count("online") >= 3, failure=told)
    compare(results, gateway)
    machines[2].stop()
    done = wait_for(lambda: status(gateway).get("barn-2", {}).get("state") == "offline", 5)
    results.check("one that is stopped shows offline", done and have_all(status(gateway), NODES[:2]),
                  failure=gateway.run("fleet status").stdout)


def compare(results, gateway):
    """What the topics carry, read by another client, and what `fleet status` prints: to the digit."""
    what = "sensor values reach fleet status -o json unchanged"
    if not has_clients():
        return results.skip(what, "no .venv with paho-mqtt; `make deps` makes it")

    def topics():
        told = subprocess.run(
            ["nsenter", "--net", "--target", str(gateway.leader),
             *client("retained.py", "127.0.0.1", 1883,
                     *(f"fleet/v1/home/+/{topic}" for topic in PARTS.values()))],
            capture_output=True, text=True, check=True).stdout
        return {topic.removeprefix("fleet/v1/home/"): exactly(payload)
                for topic, payload in json.loads(told).items()}

    # Between two equal readings nothing was published.
    before, shown, after = topics(), status(gateway), topics()
    while before != after:
        before, shown, after = after, status(gateway), topics()
    values = 0
    for node in NODES:
        for part, topic in PARTS.items():
            if shown[node].get(part) != before.get(f"{node}/{topic}"):
                return results.check(what, False, f"{node}: {shown[node].get(part)}, published was "
                                     f"{before.get(f'{node}/{topic}')}")
        values += len(before[f"{node}/state"])
    results.check(what, values >= 3 * 3, f"{values} sensors of {len(NODES)} nodes")


def exactly(text):
    """JSON with numbers as they are written."""
    return json.loads(text, parse_float=str, parse_int=str)


def status(machine):
    """{node: what `fleet status -o json` prints of it}"""
    told = subprocess.run(
        ["nsenter", "--all", "--target", str(machine.leader), "fleet", "status", "-o", "json"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    return {node["node"]: node for node in exactly(told)["nodes"]} if told else {}


def have_all(nodes, names=NODES):
    return all(nodes.get(name, {}).get("state") == "online" and "health" in nodes[name] and
               len(nodes[name].get("sensors", ())) >= 3 for name in names)
