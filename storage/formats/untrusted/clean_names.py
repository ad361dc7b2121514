"""Names of cameras and fields made from foreign ones, kept apart where cleaning would make two of them one."""

import hashlib
import re
from collections.abc import Collection


def clean_name(name: str) -> str:
    """`name` with everything but letters, digits, "_", "." and "-" as "_"; never empty."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", name) or "unnamed"


def distinct(name: str, taken: Collection[str], source: str = "") -> str:
    """`name`, or, where it is taken already, `name` with a mark that follows from `source` (the foreign name)."""
    if name not in taken:
        return name
    marked = f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:6]}" if source else name
    count = 2
    unique = marked
    while unique in taken:
        unique = f"{marked}-{count}"
        count += 1
    return unique
