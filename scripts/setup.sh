#!/usr/bin/env bash
# Make .venv ready: system libraries for headless graphics, a virtual environment, the pinned packages.
# Does nothing when all of it is there already. Usage: scripts/setup.sh VENV
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
stamp=$venv/.ready
wanted=$(cat pyproject.toml constraints.txt scripts/setup.sh | sha256sum | cut -d' ' -f1)

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "setup: Python 3.11 is needed, $("$python" --version 2>&1) was found. Install it, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 2
}

# What MuJoCo needs to render without a screen, and what one small package (evdev) needs to compile.
missing=()
need() { missing+=("$@"); }
has_library() { ldconfig -p 2>/dev/null | grep -q "$1"; }
has_library libOSMesa.so || need libosmesa6
has_library libEGL.so.1 || need libegl1
has_library libEGL_mesa.so || need libegl-mesa0
has_library libGL.so.1 || need libgl1
has_library libglapi.so || need libgl1-mesa-dri
command -v cc >/dev/null || need gcc libc6-dev
[ -e /usr/include/linux/input.h ] || need linux-libc-dev
"$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || need python3-dev
"$python" -c 'import ensurepip' 2>/dev/null || need python3-venv
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "setup: please install these packages first: sudo apt-get install ${missing[*]}" >&2
        exit 2
    fi
fi

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "setup: installing the pinned packages into $venv (some minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
echo "$wanted" >"$stamp"
