"""The filters `to_toml`, `from_toml` and `layers`: the configuration of Fleet's daemons as variables."""

from __future__ import annotations

import datetime
import math
import re
import tomllib
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: to_toml
author: Fleet developers
version_added: 1.0.0
short_description: A dictionary as TOML
description:
  - Writes a dictionary as TOML 1.0, so that the same dictionary always gives the same text.
  - Keys keep their order, but what is no table comes first, as TOML wants it.
  - A dictionary becomes a table, a list of dictionaries an array of tables. V(null) leaves a key out.
options:
  _input:
    description: The dictionary.
    type: dict
    required: true
"""

EXAMPLES = r"""
# [[listener]]
# address = "0.0.0.0:8883"
#
# [listener.tls]
# certificate = "server.crt"
# key = "server.key"
- ansible.builtin.debug:
    msg: "{{ config | fleet.edge.to_toml }}"
  vars:
    config:
      listener:
        - address: "0.0.0.0:8883"
          tls:
            certificate: server.crt
            key: server.key
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
# TOML's names for characters that must not stand in a text as they are.
ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}

# By the first of these that it has, an entry of an array of tables is known (docs/reference/configuration.md).
NAMING_KEYS = ("name", "address", "filter", "id", "user")


def to_toml(value):
    """The dictionary as TOML."""
    require_table(value, "the configuration")
    lines = []
    write_table(lines, value, [])
    return "\n".join(lines).lstrip("\n") + "\n" if lines else ""


def write_table(lines, table, path):
    """The entries of a table, then the tables in it."""
    entries = [(key, value) for key, value in table.items() if value is not None]
    for key, value in entries:
        if not is_table(value) and not is_array_of_tables(value):
            lines.append(f"{key_text(key, path)} = {value_text(value, [*path, key])}")
    for key, value in entries:
        name = ".".join(key_text(part, path) for part in [*path, key])
        if is_table(value):
            # A table that only holds tables needs no line of its own.
            if not value or any(not is_table(inner) and not is_array_of_tables(inner)
                                for inner in value.values() if inner is not None):
                lines += ["", f"[{name}]"]
            write_table(lines, value, [*path, key])
        elif is_array_of_tables(value):
            for entry in value:
                lines += ["", f"[[{name}]]"]
                write_table(lines, entry, [*path, key])


def key_text(key, path):
    if not isinstance(key, str):
        raise AnsibleFilterError(f"to_toml: the key {key!r} in {place(path)} is no text; put it in quotes")
    return key if BARE_KEY.match(key) else string_text(key, path)


def value_text(value, path):
    """A value within a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise AnsibleFilterError(f"to_toml: {place(path)}: {value} does not fit into 64 bits")
        return str(int(value))
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, str):
        return string_text(value, path)
    if is_table(value):
        inner = [f"{key_text(key, path)} = {value_text(entry, [*path, key])}"
                 for key, entry in value.items() if entry is not None]
        return f"{{ {', '.join(inner)} }}" if inner else "{}"
    if is_list(value):
        return f"[{', '.join(value_text(entry, path) for entry in value)}]"
    if isinstance(value, (datetime.date, datetime.datetime)):
        raise AnsibleFilterError(f"to_toml: {place(path)}: YAML takes this for a date; put it in quotes")
    raise AnsibleFilterError(f"to_toml: {place(path)}: TOML has nothing for {value!r}")


def float_text(value):
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(float(value))


def string_text(value, path):
    parts = []
    for character in str(value):
        if character in ESCAPES:
            parts.append(ESCAPES[character])
        elif ord(character) < 0x20 or ord(character) == 0x7F:
            parts.append(f"\\u{ord(character):04X}")
        elif 0xD800 <= ord(character) <= 0xDFFF:
            raise AnsibleFilterError(f"to_toml: {place(path)}: the text is no Unicode")
        else:
            parts.append(character)
    return f'"{"".join(parts)}"'


def from_toml(text):
    """TOML as a dictionary."""
    try:
        return tomllib.loads(str(text))
    except tomllib.TOMLDecodeError as error:
        raise AnsibleFilterError(f"from_toml: {error}") from error


def layers(values):
    """One dictionary of several: each is laid over those before it, as drop-ins are.

    Tables merge key by key; arrays of tables merge by name; everything else replaces.
    """
    result = {}
    for value in values:
        if value is not None:
            require_table(value, "a layer")
            result = merged_tables(result, value)
    return result


def merged_tables(lower, upper):
    result = dict(lower)
    for key, value in upper.items():
        result[key] = merged(result[key], value) if key in result else value
    return result


def merged(lower, upper):
    if is_table(lower) and is_table(upper):
        return merged_tables(lower, upper)
    if is_array_of_tables(lower) and is_array_of_tables(upper):
        return merged_arrays(lower, upper)
    return upper


def merged_arrays(lower, upper):
    """Each entry over its namesake, or behind the last."""
    result, left = list(lower), list(range(len(lower)))
    for entry in upper:
        match = next((index for index in left if identity(entry) is not None
                      and identity(lower[index]) == identity(entry)), None)
        if match is None:
            result.append(entry)
        else:
            left.remove(match)
            result[match] = merged_tables(lower[match], entry)
    return result


def identity(table):
    return next(((key, table[key]) for key in NAMING_KEYS if table.get(key) is not None), None)


def is_table(value):
    return isinstance(value, Mapping)


def is_list(value):
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def is_array_of_tables(value):
    return is_list(value) and len(value) > 0 and all(is_table(entry) for entry in value)


def require_table(value, what):
    if not is_table(value):
        raise AnsibleFilterError(f"{what} must be a dictionary, not {type(value).__name__}")


def place(path):
    return ".".join(map(str, path)) or "the configuration"


class FilterModule:
    """What Ansible finds here."""

    def filters(self):
        return {"to_toml": to_toml, "from_toml": from_toml, "layers": layers}
