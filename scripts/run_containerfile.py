"""Run the steps of Containerfile on a machine without a container engine: a bare Debian 12, as root.

    python3 scripts/run_containerfile.py FOLDER     installs into FOLDER in place of /opt/pyramid

Understands what the file uses (ENV, ARG, WORKDIR, COPY . ., RUN, USER, ENTRYPOINT, CMD) and ends by running the entry
point as the file's user. Its status is the entry point's.
"""

import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def steps(path: Path) -> list[tuple[str, str]]:
    """The instructions of a container file, in order: (word, the rest)."""
    text = path.read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")
    ]


def variables(text: str) -> dict[str, str]:
    """NAME=value pairs of an ENV or ARG line."""
    return {name: value for name, _, value in (pair.partition("=") for pair in shlex.split(text))}


def demoted(user: str) -> dict[str, object]:
    """What `subprocess` needs to run as `user`; nothing for root."""
    if user == "root":
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def run(path: Path, home: str) -> int:
    """Carry out `path` with `home` in the place of /opt/pyramid; the status of its entry point."""
    environment, folder, user = dict(os.environ), Path("/"), "root"
    command: dict[str, list[str]] = {}
    for word, rest in steps(path):
        rest = rest.replace("/opt/pyramid", home)
        print(f"{word} {rest}", flush=True)
        if word in ("ENV", "ARG"):
            given = variables(rest)
            environment |= {k: v for k, v in given.items() if word == "ENV" or k not in environment}
        elif word == "WORKDIR":
            folder = Path(rest)
            folder.mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and rest == ". .":
            ignored = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", ".*_cache")
            shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
        elif word == "RUN":
            subprocess.run(["sh", "-c", rest], cwd=folder, env=environment, check=True, **demoted(user))
        elif word == "USER":
            user = rest
        elif word in ("ENTRYPOINT", "CMD"):
            command[word] = json.loads(rest)
        elif word != "FROM":
            raise SystemExit(f"{path.name}: this script does not know {word!r}")
    whole = [*command["ENTRYPOINT"], *command["CMD"]]
    whole[0] = shutil.which(whole[0], path=environment["PATH"]) or whole[0]
    return subprocess.run(whole, cwd=folder, env=environment, check=False, **demoted(user)).returncode


if __name__ == "__main__":
    sys.exit(run(ROOT / "Containerfile", sys.argv[1] if len(sys.argv) > 1 else "/opt/pyramid"))
