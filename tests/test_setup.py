"""What the entry scripts do on a machine that lacks something: one line, exit 3."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = (
    *("bash", "cat", "chmod", "dirname", "flock", "grep", "head", "mkdir", "mv", "rm", "sed"),
    *("sh", "tail"),
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for bash")


@pytest.fixture
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The scripts in a folder of their own, with a space in its name."""
    copy = tmp_path / getattr(request, "param", "a check out")
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for name in ("benchmark.sh", "pyproject.toml", "hatch_build.py", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    return copy


def put_program(checkout: Path, name: str, script: str) -> None:
    program = checkout.parent / "bin" / name
    program.write_text(f"#!/usr/bin/env bash\n{script}\n")
    program.chmod(0o755)


def start(
    checkout: Path, *arguments: str, script: str = "benchmark.sh"
) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": str(checkout.parent)}
    return subprocess.run(
        [str(checkout / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 3, done
    assert done.stdout == ""
    said, *setting_up = reversed(done.stderr.splitlines())
    assert all(line.startswith("crawlbench: setting up") for line in setting_up)
    return said


def test_a_python_that_is_too_old_is_named(checkout: Path) -> None:
    put_program(checkout, "python3", '[ "$1" = --version ] && echo Python 3.9.2')
    assert last_line(start(checkout)) == (
        "crawlbench: needs Python >= 3.11, and found Python 3.9.2: "
        "install one, or name it in CRAWLBENCH_PYTHON"
    )


def test_no_python_at_all_is_said(checkout: Path) -> None:
    assert "needs Python >= 3.11" in last_line(start(checkout))


PYTHON_WITHOUT_VENV = """
if [ "$1" = -c ]; then exit 0; fi
echo "The virtual environment was not created because ensurepip is not available." >&2
exit 1
"""


def test_a_missing_venv_module_is_said_with_what_to_install(checkout: Path) -> None:
    put_program(checkout, "python3", PYTHON_WITHOUT_VENV)
    said = last_line(start(checkout))
    assert "no venv module" in said
    assert "python3-venv" in said


def test_another_reason_why_venv_fails_is_given(checkout: Path) -> None:
    script = 'if [ "$1" = -c ]; then exit 0; fi; echo "Error: [Errno 28] No space left" >&2; exit 1'
    put_program(checkout, "python3", script)
    said = last_line(start(checkout))
    assert "cannot create .venv with " in said
    assert "Error: [Errno 28] No space left (details: " in said


PIP_THAT_FAILS = """
if [ "$1" = -c ]; then exit 0; fi
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "%s" >&2\\nexit 1\\n' "{said}" >"$3/bin/python"
chmod +x "$3/bin/python"
"""


@pytest.mark.parametrize(
    ("pip_says", "said"),
    [
        ("WARNING: Retrying after connection broken by NewConnectionError", "no network"),
        ("ERROR: No matching distribution found", "No matching distribution found"),
    ],
)
def test_packages_that_cannot_be_installed_are_one_line(
    checkout: Path, pip_says: str, said: str
) -> None:
    put_program(checkout, "python3", PIP_THAT_FAILS.format(said=pip_says))
    assert said in last_line(start(checkout))
    # A set-up that failed is not taken for one that is done.
    assert said in last_line(start(checkout))


PYTHON_THAT_WORKS = """
if [ "$1" = -c ]; then exit 0; fi
[ "$1 $2" = "-m venv" ] && mkdir "$3/bin" || exit 1
cat >"$3/bin/python" <<'END'
#!/usr/bin/env bash
case "$1 $2" in
    "-m pip" | "-c "*) ;;
    *) echo "$@" ;;
esac
END
chmod +x "$3/bin/python"
"""
UV_THAT_WORKS = """
case "$1" in
    venv) shift $(($# - 1)); exec python3 -m venv "$1" ;;
    pip) ;;
    *) exit 1 ;;
esac
"""


def test_a_second_start_installs_nothing(checkout: Path) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    assert "setting up .venv" in start(checkout).stderr
    put_program(checkout, "python3", "exit 1")
    constraints_text = (checkout / "constraints.txt").read_text()
    for arguments, handed_on in [
        ([], ""),
        (["--quick"], " --quick"),
        (["list", "--json"], " list --json"),
        (["--help"], " --help"),
    ]:
        done = start(checkout, *arguments)
        assert done.stdout == f"-P -m bench{handed_on}\n", done
        assert done.stderr == ""
    # Another version of a package is another environment ...
    with (checkout / "constraints.txt").open("a") as constraints:
        constraints.write("another==1\n")
    put_program(checkout, "python3", PYTHON_WITHOUT_VENV)
    assert "no venv module" in last_line(start(checkout))
    # ... and where it cannot be made, the one before is still there.
    (checkout / "constraints.txt").write_text(constraints_text)
    assert start(checkout).stdout == "-P -m bench\n"


def test_a_user_does_not_install_what_developers_need(checkout: Path) -> None:
    noting = '"-m pip") echo "${@: -1}" >>"$0.installed" ;; "-c "*) ;;'
    put_program(checkout, "python3", PYTHON_THAT_WORKS.replace('"-m pip" | "-c "*) ;;', noting))
    installed = checkout / ".venv" / "bin" / "python.installed"
    assert "about 460 MB" in start(checkout).stderr
    assert installed.read_text() == ".[all]\n"
    done = start(checkout, "-k", "this", script="scripts/test")
    assert "about 900 MB" in done.stderr, done
    assert installed.read_text() == ".[dev]\n"
    assert start(checkout).stderr == ""  # what developers have is enough for users


def test_an_interpreter_can_be_named(checkout: Path) -> None:
    done = subprocess.run(
        [str(checkout / "benchmark.sh")],
        env={"PATH": str(checkout.parent / "bin"), "CRAWLBENCH_PYTHON": "/no/such/python"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "CRAWLBENCH_PYTHON=/no/such/python is no Python >= 3.11" in last_line(done)


def test_another_version_has_an_environment_beside_the_first(checkout: Path) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    assert start(checkout).stdout == "-P -m bench\n"
    put_program(checkout, "python3.13", PYTHON_THAT_WORKS.replace("exit 0", 'echo "$0"; exit 0', 1))
    done = start(checkout, "3.13", "-k", "this", script="scripts/test-on")
    assert (done.returncode, done.stdout) == (0, "-m pytest -k this\n"), done
    assert done.stderr.startswith("crawlbench: setting up .venv-3.13, once")
    again = start(checkout, "3.13", "-k", "this", script="scripts/test-on")
    assert (again.stdout, again.stderr) == (done.stdout, "")
    # Neither takes the place of the other.
    assert start(checkout).stderr == ""


@pytest.mark.parametrize(
    "shim", [None, "echo 'pyenv: python3.13: command not found' >&2; exit 127"]
)
def test_a_version_that_is_not_here_is_one_line_and_no_failure(
    checkout: Path, shim: str | None
) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    if shim:
        put_program(checkout, "python3.13", shim)
    done = start(checkout, "3.13", script="scripts/test-on")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "scripts/test-on: no Python 3.13 here: nothing was run on it\n"
    assert not list(checkout.glob(".venv*"))


def test_a_version_must_be_given(checkout: Path) -> None:
    for arguments in ([], ["python3.13"], ["-k"]):
        done = start(checkout, *arguments, script="scripts/test-on")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: scripts/test-on VERSION")


@pytest.mark.parametrize("name", [".venv", ".venv-previous", ".venv.lock", ".venv-install.log"])
def test_a_link_is_refused_and_its_target_kept(checkout: Path, name: str) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    precious = checkout.parent / "precious"
    if name in (".venv", ".venv-previous"):
        precious.mkdir()
        (precious / "file").write_text("kept")
        # Even a stamp in what it points to does not make it a folder of this checkout.
        (precious / "crawlbench-stamp").write_text("")
    else:
        precious.write_text("kept")
    (checkout / name).symlink_to(precious)
    said = last_line(start(checkout))
    assert f"{checkout / name} is a symbolic link" in said
    assert "remove the link" in said
    assert (precious / "file" if precious.is_dir() else precious).read_text() == "kept"


@pytest.mark.parametrize("name", [".venv", ".venv-previous"])
def test_a_folder_that_somebody_else_made_is_refused(checkout: Path, name: str) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    (checkout / name).mkdir()
    (checkout / name / ".hidden").write_text("kept")
    assert f"{checkout / name} was not made by this set-up" in last_line(start(checkout))
    assert (checkout / name / ".hidden").read_text() == "kept"
    # An empty one holds nothing to lose.
    (checkout / name / ".hidden").unlink()
    assert start(checkout).stdout == "-P -m bench\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [(".venv", "is not a folder"), (".venv.lock", "is not a regular file")],
)
def test_something_else_in_the_place_of_ours_is_one_line(
    checkout: Path, name: str, said: str
) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    os.mkfifo(checkout / name)
    assert f"{checkout / name} {said}" in last_line(start(checkout))


@pytest.mark.parametrize("has_uv", [False, True])
@pytest.mark.parametrize("killed_in", ["venv", "rm"])
def test_a_set_up_that_was_killed_is_recovered(
    checkout: Path, killed_in: str, has_uv: bool
) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    if has_uv:
        put_program(checkout, "uv", UV_THAT_WORKS)
    assert start(checkout).stdout == "-P -m bench\n"
    with (checkout / "constraints.txt").open("a") as constraints:
        constraints.write("another==1\n")
    if killed_in == "venv":
        kill = 'if [ "$1" = -c ]; then exit 0; fi; mkdir -p "$3/lib"; kill -9 $PPID'
        put_program(checkout, "python3", kill)
        if has_uv:
            put_program(checkout, "uv", "kill -9 $PPID")
        assert start(checkout).returncode == 137
    else:
        # While it clears what such a set-up has left: the stamp is the last thing that goes.
        (checkout / ".venv" / "crawlbench-stamp").write_text("")
        real_rm = (checkout.parent / "bin" / "rm").readlink()
        (checkout.parent / "bin" / "rm").unlink()
        put_program(checkout, "rm", f'"{real_rm}" "$@"; case "$*" in */bin) kill -9 $PPID;; esac')
        (checkout / ".venv" / ".hidden").write_text("left")
        assert start(checkout).returncode == 137
        assert (checkout / ".venv" / ".hidden").exists()
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    if has_uv:
        put_program(checkout, "uv", UV_THAT_WORKS)
    done = start(checkout)
    assert done.stdout == "-P -m bench\n", done
    assert not (checkout / ".venv-previous").exists()


@pytest.mark.parametrize(
    ("checkout", "said"),
    [("a:b", "a path with a colon"), ("a\nb", "a line break"), ("b\n", "a line break")],
    indirect=["checkout"],
)
def test_a_path_that_cannot_work_is_named_before_anything_is_written(
    checkout: Path, said: str
) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    before = sorted(checkout.iterdir())
    assert said in last_line(start(checkout))
    assert sorted(checkout.iterdir()) == before


@pytest.mark.parametrize("checkout", ["-x", "a 'b' \"c\" $d `e`", "{f} %s #g"], indirect=True)
def test_any_other_path_works(checkout: Path) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    assert start(checkout).stdout == "-P -m bench\n"
    # The same from next to it, and from within, wherever CDPATH leads.
    environment = {"PATH": str(checkout.parent / "bin"), "CDPATH": str(checkout.parent / "other")}
    (checkout.parent / "other" / "scripts").mkdir(parents=True)
    for script, folder in [
        (f"{checkout.name}/benchmark.sh", checkout.parent),
        ("benchmark.sh", checkout),
    ]:
        done = subprocess.run(
            [str(shutil.which("bash")), "--", script],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert (done.stdout, done.stderr) == ("-P -m bench\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_stderr_changes_no_exit_code(checkout: Path) -> None:
    environment = {"PATH": str(checkout.parent / "bin")}
    for script, code, said in [("exit 1", 3, ""), (PYTHON_THAT_WORKS, 0, "-P -m bench\n")]:
        put_program(checkout, "python3", script)
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            done = subprocess.run(
                [str(checkout / "benchmark.sh")],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=full,
                text=True,
                timeout=50,
            )
        assert (done.returncode, done.stdout) == (code, said)


def test_a_read_only_checkout_is_one_line_with_the_way_out(checkout: Path) -> None:
    put_program(checkout, "python3", PYTHON_THAT_WORKS)
    command = [str(checkout / "benchmark.sh")]
    if os.geteuid() == 0:  # permissions do not stop root; a mount does, which only it sees
        unshare, mount, sh = (shutil.which(name) for name in ("unshare", "mount", "sh"))
        if not unshare or not mount or not sh:
            pytest.skip("needs unshare and mount")
        script = (
            f'{mount} --bind "$0" "$0" && {mount} -o remount,bind,ro "$0" || exit 77; exec "$@"'
        )
        command = [unshare, "--mount", sh, "-c", script, str(checkout), *command]
    checkout.chmod(0o555)
    try:
        done = subprocess.run(
            command,
            env={"PATH": str(checkout.parent / "bin")},
            capture_output=True,
            text=True,
            timeout=50,
        )
    finally:
        checkout.chmod(0o755)
    if os.geteuid() == 0 and done.returncode in (1, 77):
        pytest.skip("needs the right to mount")
    said = last_line(done)
    assert f"cannot write to {checkout}, where set-up creates .venv" in said
    assert "copy the folder" in said
