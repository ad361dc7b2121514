"""What became of every data set of a robomimic-like demonstration."""

from storage.embodiment import Embodiment
from storage.formats.mapping.fates import Became, Fate
from storage.formats.robomimic.contents import Contents
from storage.formats.robomimic.embodiment import OUR_BODIES
from storage.formats.robomimic.robosuite_state import source_keys


def fates_of_contents(embodiment: Embodiment, contents: Contents) -> list[Fate]:
    """The fates of everything in a demonstration whose embodiment is `embodiment`."""
    fates = []
    if "actions" not in contents.ours.get("filled", ()):
        fates += [
            Fate(column=piece.column, became="action", width=contents.size((piece,))) for piece in contents.action
        ]
    else:
        fates.append(Fate(column="actions", became="label", detail="made up from other labels by an export"))
    state = _state_columns(embodiment, contents)
    fates += [Fate(column=column, became="state", width=contents.widths[column]) for column in state]
    if contents.has_states:
        fates.append(Fate(column="states", became="state", detail="simulation/state", width=contents.widths["states"]))
    for name, key in contents.foreign.items():
        fates.append(Fate(column=key, became="foreign", detail=name, width=contents.widths[key]))
    fates += [Fate(column=key, became="label", detail=name) for name, key in contents.restored.items()]
    for name, camera in contents.cameras.items():
        became: Became = "depth" if camera.layout.depth else "camera"
        fates.append(Fate(column=camera.key, became=became, detail=f"video/{name}"))
    return fates + [Fate(column=key, became="left out", detail=why) for key, why in contents.left_out.items()]


def _state_columns(embodiment: Embodiment, contents: Contents) -> list[str]:
    if contents.ours:
        return [key for key in ("obs/state",) if key in contents.widths]
    if embodiment.name in OUR_BODIES:
        keys = {key.removeprefix("obs/"): key for key in contents.widths}
        columns = source_keys(embodiment, keys)
        whole = "state" in keys and contents.widths[keys["state"]] == embodiment.state.size
        return [keys["state"]] if whole else [keys[key] for key in columns]
    return [piece.column for piece in contents.state] if embodiment.state.size == contents.size(contents.state) else []
