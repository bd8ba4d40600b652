# shellcheck shell=bash
# Sourced by the entry scripts: makes .venv, once, and sets $python to its interpreter.
#
# .venv belongs to these scripts: it is made anew whenever pyproject.toml, constraints.txt or the
# place of this checkout changes (an environment holds absolute paths). With `uv` on PATH it is
# made by uv, else by venv and pip. CRAWLBENCH_PYTHON names the interpreter to use.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=$venv/bin/python
stamp=$venv/crawlbench-stamp
install_log=$root/.venv-install.log
previous=$root/.venv-previous

fail() {
    echo "crawlbench: $1" >&2
    exit 3
}

wanted_stamp() {
    echo "$root ${CRAWLBENCH_PYTHON:-}"
    sed '/^\[tool\./,$d' "$root/pyproject.toml" # the settings of tools install nothing
    cat -- "$root/constraints.txt"
}

is_ready() {
    [ -x "$python" ] && [ -f "$stamp" ] && [ "$(wanted_stamp)" = "$(cat -- "$stamp")" ]
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

# What worked before, works again: offline, say, or on another branch.
put_back() {
    if [ -d "$previous" ]; then
        rm -rf -- "$venv"
        mv -- "$previous" "$venv"
    fi
}

fail_install() {
    put_back
    if grep -qiE 'connect|resolv|network|timed out|retry|dns' "$install_log"; then
        fail "cannot download the packages: no network, or no package index in reach (details: $install_log)"
    fi
    fail "cannot install the packages: $(grep -i 'error:' "$install_log" | head -n 1) (details: $install_log)"
}

make_env() {
    local base
    base=$(find_python) || exit
    echo "crawlbench: setting up .venv, once; about 400 MB on disk" >&2
    cd -- "$root" || exit
    : >"$install_log"
    if [ -f "$stamp" ]; then
        rm -rf -- "$previous"
        mv -- "$venv" "$previous"
    fi
    if command -v uv >/dev/null; then
        {
            UV_PYTHON_DOWNLOADS=manual uv venv --quiet --clear --python "$base" "$venv" &&
                uv pip install --quiet --python "$python" -c constraints.txt -e '.[dev]'
        } >>"$install_log" 2>&1 || fail_install
    else
        "$base" -m venv --clear "$venv" >>"$install_log" 2>&1 || {
            put_back
            fail "cannot make .venv: $base has no venv module that works (Debian: apt-get install python3-venv), and uv is not on PATH"
        }
        "$python" -m pip install --quiet --disable-pip-version-check --retries 2 \
            -c constraints.txt -e '.[dev]' >>"$install_log" 2>&1 || fail_install
    fi
    wanted_stamp >"$stamp"
    rm -rf -- "$install_log" "$previous"
}

if ! is_ready; then
    # Two first starts at once: the second waits for the first, where the system has flock.
    (
        if command -v flock >/dev/null; then flock 9; fi
        is_ready || make_env 9>&-
    ) 9>"$root/.venv.lock" || exit
fi
