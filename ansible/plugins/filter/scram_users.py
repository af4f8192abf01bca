"""The filter `scram_users`: a broker's password file of users and their passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: scram_users
author: Fleet developers
version_added: 1.0.0
short_description: A password file of fleet-broker
description:
  - Makes the text of a password file of users and their passwords, with a SCRAM-SHA-256 verifier for each.
  - A verifier that stands in the file already and is that of the password stays, so that the text only
    changes with a password.
options:
  _input:
    description: The passwords, by users.
    type: dict
    required: true
  current:
    description: The text of the file that is there.
    type: str
    default: ""
  keep_old:
    description: Whether the password that counted last counts beside a new one.
    type: bool
    default: false
"""

EXAMPLES = r"""
- ansible.builtin.copy:
    content: "{{ {'barn-1': vault_barn_1} | fleet.edge.scram_users(current) }}"
    dest: /etc/fleet/broker.d/users
    owner: fleet-broker
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The text, a line for each user; it holds no password.
  type: str
"""

HEADER = "# Written by Ansible from the variable broker_users.\n"
# As `fleet-broker passwd` makes them.
ITERATIONS = 100_000
SALT_LENGTH = 16
LINE = re.compile(r"(?P<user>[^:\n]+):(?P<verifier>SCRAM-SHA-256\$(?P<iterations>\d+):(?P<salt>[^$\n]+)\$[^:\n]+:[^:\n]+)\r?\Z")
WRONG_USER = re.compile(r"[:\x00-\x1f\x7f\ufeff\ufffd]|\A[#\s]|\s\Z|\A\Z")


def scram_users(users, current="", keep_old=False):
    """The text of the password file."""
    if not isinstance(users, Mapping):
        raise AnsibleFilterError("scram_users: users must be a dictionary of passwords by user")
    known = {}
    for line in str(current).split("\n"):
        if match := LINE.match(line):
            known.setdefault(match["user"], []).append(match)
    lines = []
    for user in sorted(map(str, users)):
        if WRONG_USER.search(user):
            raise AnsibleFilterError(f"scram_users: {user!r} cannot be a user name")
        password = users[user]
        if not isinstance(password, str) or not password:
            raise AnsibleFilterError(f"scram_users: the password of {user} must be a text, and not empty")
        lines += [f"{user}:{verifier}" for verifier in verifiers(password, known.get(user, []), keep_old)]
    return HEADER + "".join(f"{line}\n" for line in lines)


def verifiers(password, known, keep_old):
    """What the file says of one user: the newest verifier first."""
    same = [match["verifier"] for match in known if match["verifier"] == verifier(
        password, base64.b64decode(match["salt"]), int(match["iterations"]))]
    if same:
        return same[:1] if not keep_old else [match["verifier"] for match in known][:2]
    if keep_old and known:
        # The old and the new password have salt and rounds in common: one check is for both.
        old = known[0]
        return [verifier(password, base64.b64decode(old["salt"]), int(old["iterations"])), old["verifier"]]
    return [verifier(password, os.urandom(SALT_LENGTH), ITERATIONS)]


def verifier(password, salt, iterations):
    """What a server keeps of a password (RFC 5802, 3; RFC 7677)."""
    salted = hashlib.pbkdf2_hmac("sha256", str(password).encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


class FilterModule:
    """What Ansible finds here."""

    def filters(self):
        return {"scram_users": scram_users}
