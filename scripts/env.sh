# shellcheck shell=bash
# Sourced by the entry scripts: creates .venv, once, and sets $python to its interpreter.
#
# .venv belongs to these scripts. They recreate it when pyproject.toml, hatch_build.py,
# constraints.txt or the place of this checkout changes (an environment holds absolute paths). With
# `uv` on PATH they use uv, else venv and pip. CRAWLBENCH_PYTHON names the interpreter to use; with
# CRAWLBENCH_VENV, the name of another folder here, scripts/test-on keeps an environment beside .venv.
#
# A variable `extras` names what is installed: `dev` by default, `all` for users of the program, `test`
# for the tests of the core.
# They clear only what they made: a folder that holds their stamp. The stamp is written first, and
# empty, so that what a killed set-up left behind is recognised; it is filled when all is done.

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd && echo .)
root=${root%$'\n.'} # the dot keeps a line break at the end of the path
venv=$root/${CRAWLBENCH_VENV:-.venv}
python=$venv/bin/python
stamp=$venv/crawlbench-stamp
install_log=$venv-install.log
previous=$venv-previous
lock=$venv.lock
# Run at each start of this Python: our packages win over others of the same name, which PYTHONPATH
# would put first. Nothing else changes places.
own_packages_first='import sys; sys.path.insert(0, {root!a}); import bench, crawlers, plots, server; del sys.path[0]'

fail() {
    echo "crawlbench: $1" >&2 || : # the exit code says it too, where stderr is full
    exit 3
}

# What developers need is more than what users need, and includes it.
extras=${extras:-dev}

wanted_stamp() {
    echo "$root ${CRAWLBENCH_PYTHON:-} $1"
    echo "$own_packages_first"
    # What hatch and its hook read, too; the settings of other tools install nothing.
    sed -n '/^\[tool\.hatch/!{/^\[tool\./q;};p' "$root/pyproject.toml"
    cat -- "$root/hatch_build.py" "$root/constraints.txt"
}

is_ready() {
    local enough
    [ -x "$python" ] && [ -f "$stamp" ] || return
    for enough in "$extras" dev; do
        [ "$(wanted_stamp "$enough")" = "$(cat -- "$stamp")" ] && return
    done
    return 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${CRAWLBENCH_PYTHON:-}" ]; then
        is_new_enough "$CRAWLBENCH_PYTHON" ||
            fail "CRAWLBENCH_PYTHON=$CRAWLBENCH_PYTHON is no Python >= 3.11: name one that is"
        echo "$CRAWLBENCH_PYTHON"
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then
            command -v -- "$candidate"
            return
        fi
    done
    if command -v uv >/dev/null && UV_PYTHON_DOWNLOADS=manual uv python find --quiet '>=3.11' 2>/dev/null; then
        return
    fi
    candidate=$(python3 --version 2>/dev/null) || candidate=none
    fail "needs Python >= 3.11, and found $candidate: install one, or name it in CRAWLBENCH_PYTHON"
}

check_path() {
    case $root in
        *:*) fail "cannot create ${venv##*/} in $root: Python creates no environment in a path with a colon; rename the folder" ;;
        *$'\n'*) fail "cannot create ${venv##*/} in $(printf %q "$root"): Python finds no packages in a path with a line break; rename the folder" ;;
    esac
}

check_no_link() {
    if [ -L "$1" ]; then
        fail "cannot set up: $1 is a symbolic link, and set-up would overwrite what it points to; remove the link"
    fi
}

check_file() {
    check_no_link "$1"
    if [ -e "$1" ] && [ ! -f "$1" ]; then
        fail "cannot set up: $1 is not a regular file; move it away or remove it"
    fi
}

# It may be cleared: it is not there, or empty, or ours.
check_folder() {
    local entry
    check_no_link "$1"
    if [ -e "$1" ] && [ ! -d "$1" ]; then
        fail "cannot set up: $1 is not a folder; move it away or remove it"
    fi
    [ -f "$1/${stamp##*/}" ] && return
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ -e "$entry" ] || [ -L "$entry" ]; then
            fail "cannot set up: $1 was not made by this set-up, which would clear it; move it away or remove it"
        fi
    done
}

check_writable() {
    [ -w "$root" ] ||
        fail "cannot write to $root, where set-up creates ${venv##*/}: copy the folder to a place where you can write, and start it there"
}

# Removes a folder of ours. Its stamp goes last: one that is half removed is still known as ours.
discard() {
    local entry
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ "$entry" = "$1/${stamp##*/}" ] || rm -rf -- "$entry"
    done
    rm -rf -- "$1"
}

# What worked before works again: offline, or on another branch.
put_back() {
    if [ -d "$previous" ]; then
        discard "$venv"
        mv -- "$previous" "$venv"
    fi
}

fail_venv() {
    put_back
    if [ ! -s "$install_log" ] || grep -qiE 'ensurepip|no module named .?venv' "$install_log"; then
        fail "cannot create ${venv##*/}: $1 has no venv module that works (Debian: apt-get install python3-venv), and uv is not on PATH"
    fi
    fail "cannot create ${venv##*/} with $1: $(grep . "$install_log" | tail -n 1) (details: $install_log)"
}

fail_install() {
    put_back
    if grep -qiE 'connect|resolv|network|timed out|retry|dns' "$install_log"; then
        fail "cannot download the packages: no network, or no package index in reach (details: $install_log)"
    fi
    fail "cannot install the packages: $(grep -i 'error:' "$install_log" | head -n 1) (details: $install_log)"
}

write_stamp() {
    "$python" -c '
import sys, sysconfig
line, root = sys.argv[1:]
with open(sysconfig.get_path("purelib") + "/crawlbench-first.pth", "w") as stream:
    stream.write(line.format(root=root) + "\n")
' "$own_packages_first" "$root" && wanted_stamp "$extras" >"$stamp"
}

make_env() {
    local base
    check_folder "$venv"
    check_folder "$previous"
    check_file "$install_log"
    base=$(find_python) || exit
    echo "crawlbench: setting up ${venv##*/}, once; about $([ "$extras" = dev ] && echo 900 || echo 460) MB on disk" >&2 || :
    cd -- "$root" || exit
    if [ -s "$stamp" ]; then
        discard "$previous"
        mv -- "$venv" "$previous"
    fi
    discard "$venv"
    rm -f -- "$install_log"
    { mkdir -- "$venv" && : >"$stamp" && : >"$install_log"; } 2>/dev/null || {
        put_back
        fail "cannot write to $root: is the disk full?"
    }
    if command -v uv >/dev/null; then
        {
            UV_PYTHON_DOWNLOADS=manual uv venv --quiet --allow-existing --python "$base" "$venv" &&
                uv pip install --quiet --python "$python" -c constraints.txt -e ".[$extras]"
        } >>"$install_log" 2>&1 || fail_install
    else
        "$base" -m venv "$venv" >>"$install_log" 2>&1 || fail_venv "$base"
        # CI uses an environment once: what is imported is compiled then, and the rest never.
        "$python" -m pip install --quiet --disable-pip-version-check --retries 2 ${CI:+--no-compile} \
            -c constraints.txt -e ".[$extras]" >>"$install_log" 2>&1 || fail_install
    fi
    write_stamp >>"$install_log" 2>&1 || fail_install
    rm -f -- "$install_log"
    discard "$previous"
}

check_no_link "$venv"
if ! is_ready; then
    check_path
    check_writable
    check_file "$lock"
    # Two first starts at once: the second waits for the first, where the system has flock.
    (
        if command -v flock >/dev/null; then flock 9; fi
        is_ready || make_env 9>&-
    ) 9>>"$lock" || exit
fi
