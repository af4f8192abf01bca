"""New passwords for a fleet that measures: nobody is locked out, nothing is lost, the old ones are refused."""

import json
import secrets
import subprocess

from fleetdeb.containers import ENVIRONMENT
from packagetests.support import wait_for

LOG = "/var/lib/fleet/agent/measurements"
USERS = {"vault_barn_1": ("barn-1", "gateway", "/etc/fleet/agent.d/gateway.crt"),
         "vault_upstream": ("farm", "cloud", "/etc/fleet/bridge.d/cloud.crt")}
FROM = {"vault_barn_1": "barn-1", "vault_upstream": "gateway"}


def test_rotation(results, machines):
    cloud = machines.machines["cloud"]
    write_measurement_logs(machines)
    subscriber = subprocess.Popen(
        ["nsenter", "--all", "--target", str(cloud.leader), "setpriv", "--pdeathsig", "KILL", "fleet", "sub",
         "--qos", "1", "-o", "json", "--broker", "mqtt://127.0.0.1:1883", "fleet/v1/farm/+/m/#"],
        stdin=subprocess.DEVNULL, stdout=(machines.folder / "received").open("w"), env=ENVIRONMENT)
    wait_for(lambda: received(machines.folder / "received"), 20)
    begin = {name: measured(machine) for name, machine in farm(machines)}
    brokers = {name: machines.machines[name].output("systemctl show --value -p MainPID fleet-broker")
               for name in ("gateway", "cloud")}
    old = {name: machines.secrets[name] for name in USERS}
    machines.secrets.update({name: secrets.token_hex(12) for name in USERS})
    machines.write_vault()
    done = machines.playbook("rotate_credentials")
    results.check("rotate_credentials", done.returncode == 0,
                  f"{done.seconds:.0f} s" if done.returncode == 0 else done.stdout[-3000:])
    for name in USERS:
        results.check(f"the old password of {USERS[name][0]} is refused, the new one is not",
                      log_in(machines, name, old[name]) == 2 and log_in(machines, name, machines.secrets[name]) == 0)
    same = all(machines.machines[name].output("systemctl show --value -p MainPID fleet-broker") == pid
               for name, pid in brokers.items())
    results.check("no broker was restarted", same)
    compare(results, machines, begin, subscriber)
    done = machines.playbook("rotate_credentials")
    results.check("once more, it changes nothing", done.returncode == 0 and "changed=0" in done.stdout
                  and not any(f"changed={n}" in done.stdout for n in range(1, 30)),
                  "" if done.returncode == 0 else done.stdout[-2000:])


def farm(machines):
    return [(name, machines.machines[name]) for name in ("gateway", "barn-1")]


def write_measurement_logs(machines):
    path = machines.inventory / "group_vars/all/measured.yml"
    path.write_text(json.dumps({"agent_config_measured": {"measurement_log": LOG}}))
    machines.site()


def measured(machine):
    """What the agent has published, [(sensor, n, t)], in order."""
    lines = machine.output(f"cat {LOG}").splitlines()
    # The last line may be half written.
    return [(topic, int(n), t) for topic, n, t, *_ in (line.split("\t") for line in lines[:-1])]


def compare(results, machines, begin, subscriber):
    """Every measurement that was made since reaches the cloud."""
    wanted = {entry for name, machine in farm(machines) for entry in measured(machine)[len(begin[name]):]}
    wait_for(lambda: not wanted - received(machines.folder / "received"), 20)
    missing = wanted - received(machines.folder / "received")
    subscriber.kill()
    subscriber.wait(10)
    results.check("no measurement is lost meanwhile", len(wanted) > 30 and not missing,
                  f"{len(wanted)} made, {len(missing)} missing")


def received(path):
    found = set()
    for line in path.read_text().splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        found.add((message["topic"], message["payload"]["n"], message["payload"]["t"]))
    return found


def log_in(machines, name, password):
    """The exit status of `fleet pub`, 2 where the broker refuses."""
    user, broker, ca = USERS[name]
    return machines.machines[FROM[name]].run(
        f"fleet pub --broker mqtts://{user}@{broker}:8883 --ca-file {ca} fleet/v1/farm/{user}/test x",
        environment={"FLEET_PASSWORD": password}).returncode
