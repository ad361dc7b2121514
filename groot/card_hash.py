"""Which model a folder holds, without loading it: planning a job must not cost the import of torch."""

from pathlib import Path

from storage.atomic_files import read_json
from storage.errors import MissingFileError

STARTER = "starter"
"""The name of the policy that ships."""


def stated_hash(folder: Path, *, command: str) -> str:
    """The content hash on the card in `folder`; raises MissingFileError that says which `command` writes one."""
    card = folder / "card.json"
    if not card.is_file():
        raise MissingFileError(f"{folder} holds no card.json; expected a folder that `{command}` wrote")
    return str(read_json(card).get("content_hash", ""))


def policy_folder(model: Path) -> Path:
    """The folder of a policy: `model` itself, or that of the policy that ships, "starter"."""
    return Path(__file__).parent / STARTER if str(model) == STARTER else model
