"""The token that a cluster of today's Ray asks for: where it is looked for, and what to do where it is missing.

Ray 2.60 writes `~/.ray/auth_token` when a program starts a cluster of its own. From then on `ray start --head` on that
machine turns tokens on by itself; who joins by an address must turn them on.
"""

import os
from pathlib import Path

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def token_place() -> str:
    """Where this machine has a token, in Ray's own order; empty where it has none."""
    if os.environ.get(TOKEN):
        return f"the variable {TOKEN}"
    path = Path(os.environ.get(TOKEN_PATH) or Path.home() / ".ray" / "auth_token")
    return str(path) if path.is_file() else ""


def use_token() -> None:
    """Join with the token that is here, unless the environment says what to do; to be called before Ray connects. A
    cluster without tokens takes no notice."""
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def token_advice() -> str:
    """What to check where a cluster cannot be joined."""
    place = token_place()
    if place and os.environ.get(MODE, "token") == "token":
        return f"If it asks for a token, all nodes need the same as this machine: here {place} (docs/cluster.md)"
    if place:
        return f"If it asks for a token, set {MODE}=token: it is {os.environ[MODE]!r} here, so {place} is not used"
    return (
        f"If it asks for a token, copy ~/.ray/auth_token from its head to the same place here (or name it by"
        f" {TOKEN_PATH}); every node needs the same one (docs/cluster.md)"
    )
