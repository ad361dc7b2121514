#!/usr/bin/env bash
# Make .venv ready: system libraries for headless graphics, a virtual environment, the pinned packages.
# Does nothing when all of it is there already. Usage: scripts/setup.sh VENV
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
stamp=$venv/.ready
ask=workflows/system_libraries.py
wanted=$(cat pyproject.toml constraints.txt scripts/setup.sh $ask | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x "$venv/bin/pyramid" ]; then exit 0; fi

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || python=python3
command -v "$python" >/dev/null || { echo "setup: no $python here; sudo apt-get install python3" >&2; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "setup: Python 3.11 is needed, $("$python" --version 2>&1) was found. docs/installation.md says how to get it" \
        "beside the system's own; then name it: make PYTHON=/path/to/python3.11 ..." >&2
    exit 2
}

# Install the Debian packages named as arguments, or say what to type.
bring() {
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing $*"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        echo "setup: these system packages are missing; please type: sudo apt-get install --no-install-recommends $*" >&2
        exit 2
    fi
}
missing=$("$python" $ask)
# shellcheck disable=SC2086
bring $missing

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "setup: installing the pinned packages into $venv (some minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
rm -rf build ./*.egg-info

# Ask the packages themselves: each is imported once, and a library that one misses is named with its package.
missing=$("$venv/bin/python" $ask --imports) || {
    echo "setup: a package does not import (see above); $venv/bin/pyramid doctor says more" >&2
    exit 2
}
# shellcheck disable=SC2086
bring $missing
echo "$wanted" >"$stamp"
