"""YAML that people write (recipes, settings), read with bounds: whatever is in it, out comes data or one message."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from storage.errors import ConfigError

_MOST_BYTES = 1 << 20


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)


def read_yaml(path: Path, *, what: str) -> dict[str, Any]:
    """The mapping in `path`; raises ConfigError naming `what` it was to be ("recipe", "settings file")."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{what} {path} must be a file of at most {_MOST_BYTES // 1024} KB")
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path} is not text in UTF-8 ({error.reason}); save it as UTF-8") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{what} {path} is not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{what} {path} is nested too deeply") from None
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{what} {path} must be a mapping of names to values; got {type(content).__name__}")
    return dict(content)
