"""Pages of the manual and completions, made from what the help texts are made from."""

import re
import shutil
import subprocess

import pytest

from fleetlab.processes import ROOT, program, run

DAEMONS = ["fleet-broker", "fleet-agent", "fleet-bridge"]
PROGRAMS = [*DAEMONS, "fleet"]
programs = pytest.mark.parametrize("name", PROGRAMS)


def needs(tool):
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def printed(name, *arguments, **options):
    done = run([program(name), *arguments], **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def manual(name, **options):
    return printed(name, "--man", **options)


def completion(name, shell, folder):
    file = folder / f"{name}.{shell}"
    file.write_text(printed(name, "--generate-completion-script", shell))
    return file


def read(page):
    """The page as a reader sees it, without line breaks."""
    shown = subprocess.run([needs("groff"), "-man", "-Tutf8", "-P-cbou"], input=page, text=True,
                           capture_output=True, check=True).stdout
    return re.sub(r"\s+", " ", shown.replace("\u2010\n", "").replace("\u2010", "-"))


@programs
def test_a_page_is_sound(tmp_path, name):
    page = tmp_path / "page"
    page.write_text(manual(name))
    done = run([needs("groff"), "-ww", "-man", "-Tutf8", "-z", page])
    assert (done.returncode, done.stderr) == (0, "")
    done = run([needs("man"), "--warnings", "-l", "-Tutf8", page])
    assert (done.returncode, done.stderr) == (0, "")


@programs
def test_a_page_says_what_the_help_says(name):
    shown = read(manual(name))
    flags = set(re.findall(r"--[a-z][a-z-]+", printed(name, "--help")))
    assert flags and all(flag in shown for flag in flags), flags
    commands = re.findall(r"^  ([a-z][a-z-]*)  ", printed(name, "--help"), re.M)
    assert len(commands) >= 2
    for command in commands:
        assert f"{name} {command}" in shown
        help_text = printed(name, command, "--help")
        assert all(flag in shown for flag in re.findall(r"--[a-z][a-z-]+", help_text)), command
    assert "EXIT STATUS" in shown


@programs
def test_the_same_is_printed_everywhere(tmp_path, name):
    def all_of_it(**options):
        return [printed(name, *arguments, **options) for arguments in (
            ["--man"], *(["--generate-completion-script", shell] for shell in ("bash", "zsh", "fish")))]
    here = all_of_it()
    there = all_of_it(directory=tmp_path, environment={
        "HOME": str(tmp_path), "LANG": "C", "LC_ALL": "C", "COLUMNS": "40", "TERM": "dumb"})
    assert here == there
    assert not any(str(ROOT) in text or "/tmp" in text for text in here)


@programs
def test_completions_are_well_formed(tmp_path, name):
    for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]),
                         ("fish", ["fish", "--no-execute"])):
        if shutil.which(check[0]) is None:
            continue
        done = run([*check, completion(name, shell, tmp_path)])
        assert (done.returncode, done.stderr) == (0, ""), shell


def test_an_unknown_shell_is_a_usage_error():
    done = run([program("fleet-agent"), "--generate-completion-script", "tcsh"])
    assert done.returncode == 64 and "bash, zsh, fish" in done.stderr


COMPLETED = [
    (["s"], {"sessions", "status", "store", "subscriptions"}),
    (["--st"], {"--state-directory"}),
    (["retained", "--"], {"--payload", "--delete", "--socket", "--state-directory", "--json", "--help"}),
    (["--config", "bro"], {"broker.toml"}),
    (["passwd", "bro"], {"broker.toml"}),
    (["--listen", ""], set()),
]


@pytest.mark.parametrize("typed, expected", COMPLETED)
def test_bash_completes(tmp_path, typed, expected):
    (tmp_path / "broker.toml").touch()
    words = " ".join(f"'{word}'" for word in ["fleet-broker", *typed])
    done = run([needs("bash"), "-c", f"""
        compopt() {{ :; }}  # bash has it only while it completes
        source {completion("fleet-broker", "bash", tmp_path / "..")}
        COMP_WORDS=({words}) COMP_CWORD={len(typed)}
        _fleet_broker
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """], directory=tmp_path)
    assert done.stderr == ""
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize("typed, expected", COMPLETED[:5])
def test_fish_completes(tmp_path, typed, expected):
    (tmp_path / "broker.toml").touch()
    script = completion("fleet-broker", "fish", tmp_path / "..")
    line = " ".join(["fleet-broker", *typed])
    done = run([needs("fish"), "-c", f"source {script}; complete -C '{line}'"], directory=tmp_path,
               environment={"HOME": str(tmp_path)})
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == expected


@pytest.mark.parametrize("name", DAEMONS)
def test_zsh_takes_the_completion(tmp_path, name):
    done = run([needs("zsh"), "-fc", "autoload -U compinit; compinit -u -D; source $1; "
                f"print $_comps[{name}]", "zsh", completion(name, "zsh", tmp_path)])
    assert (done.stdout.strip(), done.stderr) == ("_" + name.replace("-", "_"), "")
