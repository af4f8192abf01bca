"""The filters of the collection, without a machine."""

import base64
import datetime
import importlib.util
import math
import pathlib
import tomllib

import pytest
from ansible.errors import AnsibleFilterError

FOLDER = pathlib.Path(__file__).parents[2] / "plugins/filter"


def load(name):
    specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


toml = load("to_toml")
scram = load("scram_users")
seen = load("seen")

BROKER = {
    "listener": [
        {"name": "lan", "address": "0.0.0.0:8883", "tls": {"certificate": "server.crt", "key": "server.key"}},
        {"address": "[::1]:1883", "allow_anonymous": True},
    ],
    "threads": 2,
    "role": {"sensor": {"users": ["barn-1"], "publish": ["site/%u/#"]}, "strange role.": {"everybody": True}},
    "authentication": {"password_file": "users"},
    "log": {"level": None},
}

BROKER_TOML = '''threads = 2

[[listener]]
name = "lan"
address = "0.0.0.0:8883"

[listener.tls]
certificate = "server.crt"
key = "server.key"

[[listener]]
address = "[::1]:1883"
allow_anonymous = true

[role.sensor]
users = ["barn-1"]
publish = ["site/%u/#"]

[role."strange role."]
everybody = true

[authentication]
password_file = "users"
'''


def test_the_whole_text_is_as_written_down():
    assert toml.to_toml(BROKER) == BROKER_TOML


def test_the_same_dictionary_gives_the_same_text():
    assert len({toml.to_toml(dict(BROKER)) for _ in range(10)}) == 1


@pytest.mark.parametrize("value", [
    {}, {"a": {}}, {"a": {"b": {"c": {}}}}, {"a": []}, {"a": [[1, 2], ["x"]]}, {"a": [{}, {"b": 1}]},
    {"a": [{"b": [{"c": 1}, {"c": 2}]}]}, {"a": [1, {"b": 2, "c": {"d": "x"}}]}, {"": 1, "a b": {"c.d": "e"}},
    {"a": 'tab\t, line\n, quote ", backslash \\, bell \x07, delete \x7f, \u00fc, \U0001f600'},
    {"big": 2**63 - 1, "small": -(2**63), "half": 0.5, "tiny": 1e-300, "large": 1e300, "yes": True, "no": False},
    {"table": {"x": 1}, "value": 2, "array": [{"y": 3}], "other": "z"},
    {"infinite": math.inf, "minus": -math.inf},
])
def test_what_is_read_back_is_what_was_written(value):
    assert tomllib.loads(toml.to_toml(value)) == value


def test_a_number_as_ansible_has_it_is_a_number():
    """Ansible marks where values come from, by types of its own below int, float and str."""
    number = type("Marked", (int,), {})(2**40)
    assert toml.to_toml({"a": number}) == "a = 1099511627776\n"


def test_null_leaves_a_key_out():
    assert toml.to_toml({"a": None, "b": [{"c": None, "d": 1}], "e": {"f": None}}) == "[[b]]\nd = 1\n\n[e]\n" \
        or tomllib.loads(toml.to_toml({"a": None, "b": [{"c": None}]})) == {"b": [{}]}


def test_not_a_number():
    assert math.isnan(tomllib.loads(toml.to_toml({"a": math.nan}))["a"])


@pytest.mark.parametrize(("value", "told"), [
    ([1], "must be a dictionary"),
    ({"a": {1: 2}}, "the key 1 in a"),
    ({"a": datetime.date(2026, 1, 1)}, "a date; put it in quotes"),
    ({"a": {"b": 2**63}}, "a.b"),
    ({"a": [object()]}, "TOML has nothing for"),
    ({"a": "\ud800"}, "no Unicode"),
])
def test_what_toml_cannot_say_is_an_error_that_names_it(value, told):
    with pytest.raises(AnsibleFilterError, match=told):
        toml.to_toml(value)


def test_toml_that_is_none_is_an_error():
    with pytest.raises(AnsibleFilterError):
        toml.from_toml("a = ")


def test_layers_merge_as_drop_ins_do():
    below = {"log": {"level": "info", "format": "json"}, "listener": [{"name": "lan", "address": "0.0.0.0:1883"}],
             "users": ["a"]}
    above = {"log": {"level": "debug"}, "listener": [{"address": "[::1]:1884"}, {"name": "lan", "connections": 9}],
             "users": ["b"]}
    assert toml.layers([below, None, above]) == {
        "log": {"level": "debug", "format": "json"},
        "listener": [{"name": "lan", "address": "0.0.0.0:1883", "connections": 9}, {"address": "[::1]:1884"}],
        "users": ["b"]}
    assert toml.layers([below, {"listener": []}])["listener"] == []
    assert below["listener"] == [{"name": "lan", "address": "0.0.0.0:1883"}]


def test_two_of_one_name_in_one_layer_stay_two():
    assert toml.layers([{"sensor": [{"name": "a"}]}, {"sensor": [{"name": "a", "x": 1}, {"name": "a", "x": 2}]}]) == {
        "sensor": [{"name": "a", "x": 1}, {"name": "a", "x": 2}]}


def entries(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_verifier_is_that_of_rfc_7677():
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert scram.verifier("pencil", salt, 4096) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")


def test_users_stay_as_they_are_until_a_password_changes():
    users = {"b": "one", "a": "two"}
    text = scram.scram_users(users)
    assert [line.split(":")[0] for line in entries(text)] == ["a", "b"]
    assert scram.scram_users(users, text) == text
    later = scram.scram_users({**users, "a": "three"}, text)
    assert entries(later)[1] == entries(text)[1] and entries(later)[0] != entries(text)[0]


def test_a_user_who_is_gone_is_gone():
    assert len(entries(scram.scram_users({"a": "x"}, scram.scram_users({"a": "x", "b": "y"})))) == 1


def test_the_old_password_counts_beside_the_new_one_and_then_no_more():
    before = scram.scram_users({"a": "old", "b": "same"})
    both = scram.scram_users({"a": "new", "b": "same"}, before, keep_old=True)
    assert len(entries(both)) == 3 and entries(before)[0] == entries(both)[1]
    salts = {line.split(":")[2].split("$")[0] for line in entries(both)[:2]}
    assert len(salts) == 1
    assert scram.scram_users({"a": "new", "b": "same"}, both, keep_old=True) == both
    after = scram.scram_users({"a": "new", "b": "same"}, both)
    assert entries(after) == [entries(both)[0], entries(both)[2]]


@pytest.mark.parametrize("users", [{"": "x"}, {"a:b": "x"}, {"#a": "x"}, {"a\nb": "x"}, {"a": ""}, {"a": 1}, ["a"]])
def test_wrong_users_are_errors_and_show_no_password(users):
    with pytest.raises(AnsibleFilterError):
        scram.scram_users(users)


@pytest.mark.parametrize(("table", "told"), [
    ({}, ["--broker", "mqtt://127.0.0.1:1883"]),
    ({"url": "mqtts://a@b:8883", "ca_file": "c.crt"}, ["--broker", "mqtts://a@b:8883", "--ca-file", "/d/c.crt"]),
    ({"url": "mqtts://a@[::1]:1", "user": "x"}, ["--broker", "mqtts://x@[::1]:1"]),
    ({"url": "mqtt://b", "user": "x", "password_file": "/p"}, ["--broker", "mqtt://x@b", "--password-file", "/p"]),
])
def test_the_command_connects_as_the_daemon_does(table, told):
    assert seen.broker_options(table, "/d") == told


def test_a_daemon_is_seen_by_its_instance():
    node = {"status": {"instance": "aa", "state": "online"},
            "services": {"bridge": {"instance": "bb", "state": "offline"}}}
    status = {"nodes": [{"services": {}}, node]}
    assert seen.is_seen(status, "aa\n- machine\n")
    assert not seen.is_seen(status, "cc\n")
    assert not seen.is_seen(status, "bb\n", "bridge")
    node["services"]["bridge"]["state"] = "online"
    assert seen.is_seen(status, "bb\n", "bridge")
    assert not seen.is_seen({}, "aa\n")
