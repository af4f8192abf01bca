"""The filters `broker_options` and `is_seen`: how the command fleet finds a daemon at its broker."""

from __future__ import annotations

import posixpath
import re

DOCUMENTATION = r"""
name: broker_options
author: Fleet developers
version_added: 1.0.0
short_description: The options with which the command fleet connects as a daemon does
description:
  - Makes options of the command C(fleet) of a table of a daemon's configuration, C([broker]), C([edge]) or C([upstream]).
options:
  _input:
    description: The table.
    type: dict
    required: true
  folder:
    description: Where relative paths begin.
    type: str
    required: true
"""

EXAMPLES = r"""
# ['--broker', 'mqtts://barn-1@gateway:8883', '--ca-file', '/etc/fleet/agent.d/gateway.crt']
- ansible.builtin.debug:
    msg: "{{ broker | fleet.edge.broker_options('/etc/fleet/agent.d') }}"
  vars:
    broker: {url: "mqtts://gateway:8883", user: barn-1, ca_file: gateway.crt}
"""

RETURN = r"""
_value:
  description: The words of a command line.
  type: list
  elements: str
"""

URL = re.compile(r"(?P<scheme>[a-z]+://)(?:(?P<user>[^@/]*)@)?(?P<rest>.*)\Z")
LOCAL = "mqtt://127.0.0.1:1883"
FILES = {"ca_file": "--ca-file", "password_file": "--password-file"}


def broker_options(table, folder):
    """Options of `fleet`; a user of the table's own goes into the URL."""
    url = str(table.get("url") or LOCAL)
    if table.get("user") and (match := URL.match(url)):
        url = f"{match['scheme']}{table['user']}@{match['rest']}"
    options = ["--broker", url]
    for key, option in FILES.items():
        if table.get(key):
            options += [option, posixpath.join(folder, str(table[key]))]
    return options


def is_seen(status, instance, service=""):
    """Whether `fleet status -o json` shows the daemon of this instance online: an agent, or a service of a node."""
    wanted = str(instance).split()[0]
    told = [node.get("services", {}).get(service) if service else node.get("status")
            for node in status.get("nodes", [])]
    return any(one.get("instance") == wanted and one.get("state") == "online" for one in told if one)


class FilterModule:
    """What Ansible finds here."""

    def filters(self):
        return {"broker_options": broker_options, "is_seen": is_seen}
