"""Episodes that are there twice: equal numbers, whatever they are called."""

import hashlib

from storage.datasets.dataset import Dataset

_FIELDS = ("state", "action/ground_truth", "action/predicted")


def find_duplicates(dataset: Dataset) -> dict[str, str]:
    """Episode -> the first episode (by unit and row) with the same state and actions; those without numbers are not
    compared."""
    first: dict[bytes, str] = {}
    repeats: dict[str, str] = {}
    for unit_id in dataset.units():
        shard = dataset.open_shard(unit_id)
        arrays = [shard.array(name) for name in _FIELDS if name in shard.fields]
        if not arrays:
            continue
        for record in shard.episodes:
            digest = hashlib.sha256(str([array.shape[1:] for array in arrays]).encode())
            for array in arrays:
                digest.update(array[record["start"] : record["start"] + record["length"]].tobytes())
            episode_id = str(record["episode_id"])
            known = first.setdefault(digest.digest(), episode_id)
            if known != episode_id:
                repeats[episode_id] = known
    return repeats
