"""The fleet of molecule's scenario: as new, configured, configured once more, and what a run would change."""

import re
import time

from .machines import COLLECTION

NODES = ["gateway", "barn-1", "cloud"]
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.M)


def recap(text):
    """{machine: (changed, unreachable and failed)}, of the last play."""
    return {name: (int(changed), int(unreachable) + int(failed))
            for name, _, changed, unreachable, failed in RECAP.findall(text)}


def test_fresh_check_mode(results, machines):
    done = machines.playbook("site", "--check", "--diff")
    told = recap(done.stdout)
    is_right = done.returncode == 0 and all(changed for changed, _ in told.values())
    results.check("check mode on new machines", is_right,
                  f"{done.seconds:.0f} s" if is_right else done.stdout[-3000:])
    left = machines.machines["gateway"].run("ls -d /etc/fleet /etc/apt/sources.list.d/fleet.sources").stdout
    results.check("it has changed nothing", left.count("No such file") == 2, left if left.count("No such") < 2 else "")


def test_molecule(results, machines):
    """Each step of `molecule test` by itself, for its time."""
    for step, what in (("converge", "molecule converge: a fleet of new machines"),
                       ("idempotence", "molecule idempotence: a second run changes nothing"),
                       ("verify", "molecule verify: what the machines do")):
        begin = time.monotonic()
        done = machines.run(["molecule", step], folder=COLLECTION / "extensions")
        results.check(what, done.returncode == 0, f"{time.monotonic() - begin:.0f} s"
                      if done.returncode == 0 else done.stdout[-4000:])


def test_check_mode(results, machines):
    done = machines.playbook("site", "--check")
    told = recap(done.stdout)
    is_right = done.returncode == 0 and not any(changed for changed, _ in told.values())
    results.check("check mode afterwards changes nothing", is_right,
                  f"{done.seconds:.0f} s" if is_right else done.stdout[-3000:])


def pids(machine, daemons):
    return machine.output(f"systemctl show --value -p MainPID {' '.join(f'fleet-{name}' for name in daemons)}").split()


def test_wrong_configuration(results, machines):
    """What a daemon refuses replaces nothing, and check mode says so before."""
    gateway = machines.machines["gateway"]
    path = machines.inventory / "host_vars/gateway.yml"
    right = path.read_text()
    before = gateway.output("cat /etc/fleet/broker.d/50-ansible.toml"), pids(gateway, ["broker"])
    path.write_text(right + "broker_config_wrong: {log: {levle: debug}}\n")
    for arguments, what in ((["--check"], "check mode names what the daemon would refuse"),
                            ([], "a configuration that the daemon refuses is not put in place")):
        done = machines.playbook("site", "--limit", "gateway", *arguments)
        is_right = done.returncode != 0 and "unknown key log.levle" in done.stdout and before == (
            gateway.output("cat /etc/fleet/broker.d/50-ansible.toml"), pids(gateway, ["broker"]))
        results.check(what, is_right, "" if is_right else done.stdout[-2000:])
    path.write_text(right)


def test_takeover(results, machines):
    """A reload where one is enough, a restart where a setting waits for it, and only of that daemon."""
    gateway = machines.machines["gateway"]
    path = machines.inventory / "host_vars/gateway.yml"
    right = path.read_text()
    before = pids(gateway, ["broker", "bridge", "agent"])
    path.write_text(right + "broker_config_more: {listener: [{name: more, address: '127.0.0.1:1884',"
                    " allow_anonymous: true}]}\nagent_config_more: {sensor: [{name: up, source: uptime, interval: 1s}]}\n")
    done = machines.playbook("site", "--limit", "gateway")
    told = gateway.run("fleet sub --broker mqtt://127.0.0.1:1884 --count 1 --timeout 10s fleet/v1/farm/gateway/m/up")
    is_right = done.returncode == 0 and told.returncode == 0
    results.check("a new listener and a new sensor", is_right, f"{done.seconds:.0f} s" if is_right
                  else done.stdout[-2000:] + told.stdout)
    results.check("by a reload: all run on", pids(gateway, ["broker", "bridge", "agent"]) == before)
    path.write_text(right + "broker_config_more: {http: {address: '127.0.0.1:9883'}}\n")
    done = machines.playbook("site", "--limit", "gateway")
    after = pids(gateway, ["broker", "bridge", "agent"])
    told = gateway.run("wget -q -O - http://127.0.0.1:9883/healthz")
    results.check("a setting that waits for a start is taken over by a restart, of the broker alone",
                  done.returncode == 0 and told.returncode == 0 and after[0] != before[0] and after[1:] == before[1:],
                  told.stdout if told.returncode else "")
    path.write_text(right)
    done = machines.playbook("site", "--limit", "gateway")
    gone = gateway.run("wget -q -O - http://127.0.0.1:9883/healthz").returncode
    results.check("what is taken out of the inventory is gone from the machine", done.returncode == 0 and gone != 0)
