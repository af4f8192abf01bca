"""Machines for the collection: containers on a network, which ansible reaches by ssh as it reaches Pis.

All that is secret (ssh keys, passwords, the vault's password) is made for the run, in its folder.
"""

import json
import os
import pathlib
import secrets
import shutil
import subprocess
import time

from fleetdeb import containers, folders, network, repository
from fleetdeb.tell import Failure

COLLECTION = folders.TREE / "ansible"
ENVIRONMENT = folders.TREE / ".venv-ansible"
# What a Raspberry Pi OS brings and our containers do not.
MORE = ["openssh-server", "python3", "python3-apt"]
PORT = 8000
USER = "pi"


def programs_are_there():
    return (ENVIRONMENT / "bin/molecule").exists()


class Machines:
    """`names` are started; `repository` is a folder that they find at `url`."""

    def __init__(self, folder, target, names):
        self.folder = pathlib.Path(folder)
        self.target = target
        self.names = names
        self.repository = self.folder / "repository"
        self.inventory = self.folder / "inventory"
        self.secrets = {}
        self.lan = network.Network()
        self.machines = {}
        self.addresses = {}
        self.server = None

    @property
    def url(self):
        return f"http://{self.lan.address}:{PORT}"

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for machine in self.machines.values():
            machine.stop()
        if self.server:
            self.server.terminate()
            self.server.wait()
        if self.lan.holder:
            self.lan.__exit__()

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        repository.make(self.repository)
        shutil.copytree(COLLECTION / "extensions/molecule/default/inventory", self.inventory)
        self.make_secrets()
        tree = containers.tree(self.target, "ansible", MORE)
        containers.require(tree, self.folder / "containers")
        self.lan.__enter__()
        self.server = subprocess.Popen(
            self.lan.command(["python3", "-m", "http.server", "--bind", self.lan.address,
                              "--directory", self.repository, PORT]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in self.names:
            machine = containers.Container(name, tree, self.folder / "containers")
            self.machines[name] = machine
            machine.start()
            self.addresses[name] = self.lan.join(machine, name)
            self.admit(machine)
        known = [f"{self.addresses[name]} " + machine.output("cat /etc/ssh/ssh_host_ed25519_key.pub")
                 for name, machine in self.machines.items()]
        (self.folder / "known_hosts").write_text("\n".join(known) + "\n")
        return self

    def make_secrets(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key"], check=True)
        (self.folder / "vault-password").write_text(secrets.token_hex(16) + "\n")
        (self.folder / "vault-password").chmod(0o600)
        self.secrets = {"vault_barn_1": secrets.token_hex(12), "vault_upstream": secrets.token_hex(12)}
        for name in ("gateway", "cloud"):
            certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                 "-keyout", key, "-out", certificate], check=True, capture_output=True)
            self.secrets[f"vault_{name}_certificate"] = certificate.read_text()
            self.secrets[f"vault_{name}_key"] = key.read_text()
        self.write_vault()

    def admit(self, machine):
        """A user who comes in by a key, and may do all by sudo, as on a Pi's card from the imager."""
        machine.output(
            f"useradd --create-home {USER}\n"
            f"echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}\n"
            f"install -d -m 700 -o {USER} /home/{USER}/.ssh\n"
            f"cat > /home/{USER}/.ssh/authorized_keys && chown {USER} /home/{USER}/.ssh/authorized_keys\n"
            # What belongs to the mirror, which is out of reach.
            "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*\n"
            "rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl enable --now ssh; systemctl restart ssh",
            input=(self.folder / "key.pub").read_text())

    def write_vault(self):
        """What is secret, as the inventory's variables, encrypted."""
        path = self.inventory / "group_vars/all/vault.yml"
        path.unlink(missing_ok=True)
        # JSON is YAML.
        path.write_text(json.dumps(self.secrets))
        done = subprocess.run(["ansible-vault", "encrypt", path], env=self.environment, capture_output=True,
                              text=True)
        if done.returncode != 0:
            raise Failure(f"ansible-vault: {done.stderr}")

    @property
    def environment(self):
        tools = ENVIRONMENT / "bin"
        return {
            **{name: value for name, value in os.environ.items()
               if not name.startswith(("ANSIBLE_", "MOLECULE_"))},
            "PATH": f"{tools}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(collections()),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_CONFIG": str(COLLECTION / "extensions/molecule/ansible.cfg"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "vault-password"),
            "FLEET_TEST": str(self.folder),
            "FLEET_TEST_URL": self.url,
        }

    def run(self, command, timeout=900, folder=COLLECTION):
        """A program of ansible's, in the network; both streams in `stdout`."""
        return self.lan.run(["nice", "-n", "5", *command], env=self.environment, cwd=folder,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=timeout)

    def output(self, command, **options):
        done = self.run(command, **options)
        if done.returncode != 0:
            raise Failure(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def site(self):
        """The fleet as the inventory has it."""
        self.output(["ansible-playbook", "fleet.edge.site", "--inventory", self.inventory])

    def playbook(self, name, *arguments):
        """A playbook of the collection, for the inventory of the test."""
        begin = time.monotonic()
        done = self.run(["ansible-playbook", f"fleet.edge.{name}", "--inventory", self.inventory, *arguments])
        done.seconds = time.monotonic() - begin
        return done


def collections():
    """A folder in which ansible finds this tree's collection."""
    place = folders.TREE / ".build-ansible/ansible_collections/fleet"
    place.mkdir(parents=True, exist_ok=True)
    link = place / "edge"
    if not link.is_symlink():
        link.symlink_to(COLLECTION)
    return place.parents[1]
