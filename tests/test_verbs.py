"""The command line itself: verbs, help, mistakes of usage, completion."""

import json
import os
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from bench.cli.completion import completion
from bench.cli.parser import make_parser, parse, with_verb
from bench.cli.verbs import VERBS, Verb
from bench.exit_codes import EXIT_USAGE
from bench.program import PROGRAM
from tests import this_process

BENCH = [sys.executable, "-P", "-m", "bench"]
NAMES = [verb.name for verb in VERBS]
SLOW_TO_IMPORT = {"numpy", "rich", "sqlite3", "psutil", "shtab"}
each_verb = pytest.mark.parametrize("verb", VERBS, ids=NAMES)


def bench(*words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*BENCH, *words],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80"},
    )


def test_each_verb_is_a_module_of_its_name_and_no_other_module_is_one() -> None:
    folder = Path(__file__).parent.parent / "bench" / "cli"
    verbs = {path.stem for path in folder.glob("*.py") if "\ndef run(" in path.read_text()}
    assert verbs == set(NAMES)
    for verb in VERBS:
        module = verb.load()
        assert callable(module.run), verb
        assert callable(module.add_options), verb


@each_verb
def test_the_help_of_a_verb_fits_and_teaches(
    verb: Verb, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse([verb.name, "--help"])
    said = capsys.readouterr().out
    assert all(len(line) < 80 for line in said.splitlines()), said
    assert f"{PROGRAM} {verb.name}" in said.partition("examples:")[2]
    parser = ArgumentParser()
    verb.load().add_options(parser)
    assert [one for one in parser._actions if not one.help] == []  # noqa: SLF001


def test_the_help_of_the_program_fits_and_says_what_its_exit_codes_mean() -> None:
    said = bench("--help").stdout
    assert all(len(line) < 80 for line in said.splitlines()), said
    codes = said.partition("exit codes:")[2].splitlines()[1:7]
    assert [line.split()[0] for line in codes] == ["0", "1", "2", "3", "99", "130"]
    assert "--print-completion bash" in said


@each_verb
def test_the_examples_of_a_verb_are_command_lines(verb: Verb) -> None:
    for words, _ in verb.load().EXAMPLES:
        found, _ = parse(shlex.split(words.partition(" > ")[0]))
        assert found.name == words.split()[0]


def test_help_imports_nothing_that_takes_long() -> None:
    helps = [f"{name} --help" for name in NAMES]
    for line, imported in imported_by("--help", *helps).items():
        assert not imported & SLOW_TO_IMPORT, line


def test_the_list_of_crawlers_imports_no_more_than_a_table_needs() -> None:
    assert not imported_by("list")["list"] & {"numpy", "sqlite3", "psutil", "shtab"}


def imported_by(*lines: str) -> dict[str, set[str]]:
    """What each command line imports that those before it have not, in one process."""
    program = (
        "import contextlib, json, sys; from bench.__main__ import main\n"
        "found = {}\n"
        "for number, line in enumerate(sys.argv[1:]):\n"
        "    before = set(sys.modules) if number else set()\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(line.split())\n"
        "    found[line] = sorted(set(sys.modules) - before)\n"
        "print(json.dumps(found), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *lines], capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stdout.count("usage: ")) == (0, str(lines).count("--help")), done
    return {line: set(names) for line, names in json.loads(done.stderr).items()}


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ["run"]),
        (["--quick"], ["run", "--quick"]),
        (["-n", "5"], ["run", "-n", "5"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        (["--print-completion=bash"], ["--print-completion=bash"]),
        (["list"], ["list"]),
    ],
)
def test_without_a_verb_it_is_run(words: list[str], meant: list[str]) -> None:
    assert with_verb(words) == meant


@pytest.mark.parametrize(
    ("words", "usage", "said"),
    [
        (["rnu"], "", "there is no verb 'rnu'; did you mean 'run'?"),
        (["xyzzy"], "", "there is no verb 'xyzzy'"),
        (["run", "--concurency", "3"], " run", "'--concurency'; did you mean '--concurrency'?"),
        (["report", "--alll"], " report", "no option '--alll'; did you mean '--all'?"),
        (["report", "--delay=5"], " report", "there is no option '--delay'"),
        (["list", "extra"], " list", "there is no use for the argument 'extra'"),
        (["compare", "a"], " compare", "the following arguments are required: B"),
        (["check", "asyncio", "--plot", "/no/such/x.png"], " check", "there is no folder"),
    ],
)
def test_a_mistake_shows_the_usage_of_its_verb_and_what_was_meant(
    words: list[str], usage: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == EXIT_USAGE
    assert lines[0].startswith(f"usage: {PROGRAM}{usage} [-h]")
    assert said in lines[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["crawl", "asyncoi"], "there is no crawler 'asyncoi'; did you mean 'asyncio'?"),
        (["run", "--crawlers", "serial,gevnt"], "no crawler 'gevnt'; did you mean 'gevent'?"),
        (["check", "chaptr"], "no crawler 'chaptr'; did you mean 'chapter'?"),
    ],
)
def test_a_misspelt_crawler_is_one_line_with_what_was_meant(words: list[str], said: str) -> None:
    done = this_process.bench(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is bash")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("cr", {"crawl"}),
        ("run --conc", {"--concurrency"}),
        ("run --format s", {"svg"}),
        ("crawl asyncio-u", {"asyncio-uvloop"}),
        ("run --crawlers serial,gr", {"serial,grequests"}),
        ("run --crawlers serial,pat", {"serial,patterns"}),
        ("compare asyncio asyncio-u", {"asyncio-uvloop"}),
        ("report folder-of", {"folder-of-results"}),
        ("crawl asyncio --urls list-of", {"list-of-urls"}),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, completed: set[str]) -> None:
    (tmp_path / "folder-of-results").mkdir()
    (tmp_path / "list-of-urls").touch()
    program = (
        'eval "$1"; shift; function=$(complete -p "$1"); function=${function##*-F };'
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        '"${function%% *}" "$1" "${@: -1}" "${@: -2:1}"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    script = completion(make_parser(), "bash")
    done = subprocess.run(
        ["/bin/bash", "-c", program, "bash", script, PROGRAM, *line.split()],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=tmp_path,
    )
    assert set(done.stdout.split()) == completed, done


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_is_printed_and_names_every_verb(shell: str) -> None:
    done = bench("--print-completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in (*NAMES, "asyncio-uvloop", "--fail-on-regression"))
