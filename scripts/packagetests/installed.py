"""What is true of the packages once they are installed, and when they are removed."""

import time

from fleetdeb.releases import triplet

from .support import DAEMONS, pid

# `systemd-analyze security`, at most.
EXPOSURE = {"broker": 1.5, "agent": 2.0, "bridge": 1.5}


def test_fresh_install(results, container):
    begin = time.monotonic()
    done = container.run("apt-get install -q -y fleet-edge")
    results.check("apt install fleet-edge", done.returncode == 0,
                  f"{time.monotonic() - begin:.1f} s" if done.returncode == 0 else done.stdout[-2000:])
    begin = time.monotonic()
    status = ""
    while time.monotonic() < begin + 5 and "online" not in status:
        status = container.run("fleet status").stdout
    results.check("fleet status shows this machine within five seconds", "online" in status,
                  f"{time.monotonic() - begin:.1f} s" if "online" in status else status)
    for daemon in DAEMONS:
        state = container.run(f"systemctl is-active fleet-{daemon}; systemctl is-enabled fleet-{daemon}")
        results.check(f"fleet-{daemon} is active and enabled", state.stdout.split() == ["active", "enabled"],
                      "" if state.returncode == 0 else container.run(
                          f"journalctl -n 20 --no-pager -u fleet-{daemon}").stdout)
    state = container.run("systemctl is-system-running; systemctl --failed --no-legend").stdout.strip()
    results.check("no unit has failed", state == "running", failure=state)


def test_exposure(results, container):
    for daemon in DAEMONS:
        told = container.output(f"systemd-analyze security --no-pager fleet-{daemon} | tail -n 1")
        figure = float(told.split(":")[1].split()[0])
        results.check(f"systemd-analyze security fleet-{daemon}", figure <= EXPOSURE[daemon],
                      f"{figure} of {EXPOSURE[daemon]}")
        inside = (f"nsenter --mount --target {pid(container, daemon)} setpriv --reuid fleet-{daemon} "
                  f"--regid fleet --clear-groups --bounding-set=-all sh -c ")
        hidden = container.run(f"{inside} 'ls /home /root; cat /etc/shadow'")
        results.check(f"a shell in fleet-{daemon}'s sandbox sees neither /home nor /etc/shadow",
                      "root:" not in hidden.stdout and hidden.stdout.count("denied") == 3,
                      failure=hidden.stdout)
        writable = container.output(
            f"{inside} 'find / -xdev -type d -writable 2>/dev/null; for d in /etc /var /usr /run /home "
            "/var/lib /srv /opt /boot; do [ ! -w $d ] || echo $d; done' || true").split()
        allowed = ("/tmp", "/var/tmp", "/dev/", f"/var/lib/fleet/{daemon}", f"/run/fleet/{daemon}", "/proc/")
        found = [path for path in writable if not path.startswith(allowed)]
        results.check("it writes nowhere but its state", not found, " ".join(found))


def test_reload(results, container):
    for daemon in DAEMONS:
        before = pid(container, daemon)
        container.output(f"echo '[log]\nlevel = \"debug\"' > /etc/fleet/{daemon}.d/50-test.toml")
        done = container.run(f"systemctl reload fleet-{daemon}")
        results.check(f"systemctl reload fleet-{daemon}", done.returncode == 0, done.stdout.strip())
        container.output(f"echo '[log]\nlevle = 1' > /etc/fleet/{daemon}.d/50-test.toml")
        done = container.run(f"systemctl reload fleet-{daemon}")
        told = container.run(f"journalctl -n 20 --no-pager -o cat -u fleet-{daemon}").stdout
        results.check("a wrong configuration makes it fail, and is named by file and line",
                      done.returncode != 0 and f"/etc/fleet/{daemon}.d/50-test.toml:2:1" in told,
                      failure=told[-500:])
        container.output(f"rm /etc/fleet/{daemon}.d/50-test.toml")
        container.output(f"systemctl reload fleet-{daemon}")
        results.check("it runs on", pid(container, daemon) == before)


def test_credentials(results, container):
    """A password that root alone can read, for the bridge's way up."""
    container.output(
        "install -m 600 /dev/null /etc/fleet/credentials/bridge/upstream.password\n"
        "echo secret > /etc/fleet/credentials/bridge/upstream.password\n"
        "cat > /etc/fleet/bridge.d/50-upstream.toml <<END\n[upstream]\nname = \"cloud\"\n"
        "url = \"mqtt://user@127.0.0.1:1\"\n"
        "password_file = \"/etc/fleet/credentials/bridge/upstream.password\"\nEND\n"
        "systemctl restart fleet-bridge")
    told = container.run("journalctl --no-pager -o cat -u fleet-bridge -n 20").stdout
    results.check("a credential is read by the daemon, by systemd's hand",
                  container.run("systemctl is-active fleet-bridge").stdout.strip() == "active"
                  and "denied" not in told, failure=told[-800:])
    container.output("rm /etc/fleet/bridge.d/50-upstream.toml && systemctl restart fleet-bridge")


def test_library_upgrade(results, container):
    """As an upgrade leaves it: the file has another inode, the daemon has the old one in memory."""
    before = {daemon: pid(container, daemon) for daemon in DAEMONS}
    users = {daemon for daemon in DAEMONS
             if "libsqlite3" in container.output(f"cat /proc/{before[daemon]}/maps")}
    folder = f"/usr/lib/{triplet('amd64')}"
    container.output(
        f"f=$(readlink -f {folder}/libsqlite3.so.0) && cp -p $f $f.new && mv $f.new $f\n"
        f"dpkg-trigger --by-package=libsqlite3-0 {folder}/libsqlite3.so.0 && dpkg --triggers-only -a")
    restarted = {daemon for daemon in DAEMONS if pid(container, daemon) != before[daemon]}
    results.check("a replaced library restarts the daemons that use it, and no others",
                  restarted == users and users, f"{' '.join(sorted(restarted))}")


def test_removal(results, container):
    container.output("apt-get remove -q -y fleet-broker")
    kept = container.run("ls /var/lib/fleet/broker/broker.db /etc/fleet/broker.toml")
    results.check("remove keeps configuration and state", kept.returncode == 0,
                  failure=kept.stdout)
    container.output("apt-get install -q -y fleet-edge")
    done = container.run("apt-get purge -q -y 'fleet-*'")
    results.check("purge says what it removes", done.returncode == 0
                  and "removing its configuration, drop-ins, credentials and state" in done.stdout,
                  failure=done.stdout[-800:])
    left = container.run("find /etc/fleet /var/lib/fleet 2>/dev/null").stdout.split()
    results.check("nothing is left", not left, " ".join(left))
    done = container.run("apt-get install -q -y fleet-edge && systemctl is-active fleet-broker")
    results.check("it can be installed again", done.returncode == 0,
                  failure=done.stdout[-800:])


def test_mosquitto_first(results, container):
    """Port 1883 belongs to somebody else: the rest uses that broker."""
    done = container.run("apt-get install -q -y fleet-edge")
    results.check("apt install fleet-edge beside a Mosquitto", done.returncode == 0,
                  failure=done.stdout[-800:])
    status = container.output("systemctl show --value -p ExecMainStatus fleet-broker")
    told = container.run("journalctl --no-pager -o cat -u fleet-broker").stdout
    results.check("the broker ends with 78 and names who has the port",
                  status == "78" and "mosquitto" in told, failure=f"{status}: {told}")
    end, seen = time.monotonic() + 5, ""
    while time.monotonic() < end and "online" not in seen:
        seen = container.run("fleet status").stdout
    results.check("agent and fleet status use that Mosquitto, and it says so", "online" in seen
                  and "mosquitto" in seen.lower(), failure=seen)


def test_without_ipv6(results, container):
    container.output("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 "
                     "net.ipv6.conf.lo.disable_ipv6=1")
    done = container.run("apt-get install -q -y fleet-edge")
    state = container.run("systemctl is-active fleet-broker fleet-agent fleet-bridge").stdout.split()
    results.check("without IPv6 everything runs", done.returncode == 0 and state == ["active"] * 3,
                  failure=container.run(
                      "journalctl --no-pager -n 20 -o cat -u 'fleet-*'").stdout)
