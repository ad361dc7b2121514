"""Every data set of human video by its layout: files as they lie on the disk after a download, made small."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from storage.errors import UnknownNameError
from storage.formats.human_video.adapters import ADAPTERS, find_adapter
from storage.formats.human_video.source_video import END_OF_FILE_S, SourceVideo
from storage.formats.human_video.testing import segments
from storage.formats.testing import tiny_video

Found = list[tuple[str, list[tuple[float, float | None, str]]]]


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_table(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")


def ego4d(root: Path) -> Found:
    tiny_video(root / "v2/full_scale/uid-1.mp4")
    tiny_video(root / "v2/clips/clip-1.mp4")
    write_table(
        root / "v2/clips/manifest.csv",
        "exported_clip_uid,parent_video_uid,parent_start_sec,parent_end_sec",
        "clip-1,uid-1,3.0,9.0",
    )
    rows = [{"timestamp_sec": at, "narration_text": text} for at, text in ((4.5, "#C C cuts"), (1.0, "#C C looks"))]
    passes = {"narration_pass_1": {"narrations": rows}, "narration_pass_2": {"narrations": []}}
    write_json(root / "v2/annotations/narration.json", {"videos": {"uid-1": passes}})
    return [
        ("v2/full_scale/uid-1.mp4", [(1.0, None, "#C C looks"), (4.5, None, "#C C cuts")]),
        ("v2/clips/clip-1.mp4", [(1.5, None, "#C C cuts")]),
    ]


def epic_kitchens(root: Path) -> Found:
    tiny_video(root / "EPIC-KITCHENS/P01/videos/P01_01.MP4".replace(".MP4", ".mp4"))
    write_table(
        root / "annotations/EPIC_100_train.csv",
        "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,narration,verb,noun",
        "P01_01_1,P01,P01_01,00:00:05.3,00:00:05.10,00:00:07.05,open door,open,door",
        'P01_01_0,P01,P01_01,00:00:01.0,00:00:00.14,00:00:03.37,"turn on light, then off",turn-on,light',
    )
    expected = [(0.14, 3.37, "turn on light, then off"), (5.1, 7.05, "open door")]
    return [("EPIC-KITCHENS/P01/videos/P01_01.mp4", expected)]


def ego_exo4d(root: Path) -> Found:
    folder = root / "takes/cook_01/frame_aligned_videos/downscaled/448"
    for name in ("aria01_214-1", "aria01_1201-1", "cam01"):
        tiny_video(folder / f"{name}.mp4")
    write_json(root / "takes.json", [{"take_uid": "t1", "take_name": "cook_01", "root_dir": "takes/cook_01"}])
    rows = [
        {"text": "C cuts an onion.", "timestamp": 3.9, "narration_subject": "C", "ego_visible": "1", "unsure": "0"},
        {"text": "C moves his left leg.", "timestamp": 1.0, "narration_subject": "C", "ego_visible": "0"},
        {"text": "The man X walks.", "timestamp": 2.0, "narration_subject": "O", "ego_visible": "1"},
    ]
    annotations = {"t1": [{"rejected": True, "descriptions": []}, {"rejected": False, "descriptions": rows}]}
    write_json(root / "annotations/atomic_descriptions_train.json", {"annotations": annotations})
    return [
        ("takes/cook_01/frame_aligned_videos/downscaled/448/aria01_214-1.mp4", [(3.9, None, "C cuts an onion.")]),
        (
            "takes/cook_01/frame_aligned_videos/downscaled/448/cam01.mp4",
            [(1.0, None, "C moves his left leg."), (3.9, None, "C cuts an onion.")],
        ),
    ]


def hoi4d(root: Path) -> Found:
    one, two = "ZY20210800001/H1/C2/N31/S92/s05/T2", "ZY20210800001/H1/C5/N1/S1/s01/T1"
    for take in (one, two):
        tiny_video(root / take / "align_rgb/image.mp4")
    write_json(root / one / "action/color.json", {"events": [{"event": "pickup", "startTime": 0.5, "endTime": 2}]})
    marks = {"marks": [{"event": "put down", "hdTimeStart": 1.0, "hdTimeEnd": 3.5}]}
    write_json(root / "HOI4D_annotations" / two / "action/color.json", {"markResult": marks})
    return [
        (f"{one}/align_rgb/image.mp4", [(0.5, 2.0, "pickup the mug")]),
        (f"{two}/align_rgb/image.mp4", [(1.0, 3.5, "put down")]),
    ]


def assembly101(root: Path) -> Found:
    sequence = "nusar-2021_action_both_9011-a01"
    for view in ("C10095_rgb", "HMC_21176875_mono10bit"):
        tiny_video(root / "videos" / sequence / f"{view}.mp4")
    write_table(
        root / "annotations/fine-grained-annotations/train.csv",
        "id,video,start_frame,end_frame,action_id,verb_id,noun_id,action_cls,verb_cls,noun_cls",
        f"1,{sequence}/C10095_rgb.mp4,30,75,3,1,2,pick up screw,pick up,screw",
        f"2,{sequence}/HMC_21176875_mono10bit.mp4,30,75,3,1,2,pick up screw,pick up,screw",
    )
    return [
        (f"videos/{sequence}/{view}.mp4", [(1.0, 2.5, "pick up screw")])
        for view in ("C10095_rgb", "HMC_21176875_mono10bit")
    ]


def holoassist(root: Path) -> Found:
    tiny_video(root / "videos/R007-7July-DSLR/Export_py/Video_pitchshift.mp4")
    fine, coarse = "Fine grained action", "Coarse grained action"
    events = [
        {"id": 1, "label": fine, "start": 2, "end": 3.5, "attributes": {"Verb": "grab", "Noun": "lens_cap"}},
        {"id": 2, "label": coarse, "start": 0, "end": 9, "attributes": {"Action sentence": "change the lens"}},
        {"id": 3, "label": fine, "start": 4, "end": 4, "attributes": {"Verb": "hold", "Noun": "camera"}},
    ]
    write_json(root / "data-annotation-trainval-v1_1.json", [{"video_name": "R007-7July-DSLR", "events": events}])
    return [("videos/R007-7July-DSLR/Export_py/Video_pitchshift.mp4", [(2.0, 3.5, "grab lens cap")])]


def rh20t_human(root: Path) -> Found:
    folder = "RH20T_cfg3/task_0092_user_0010_scene_0004_cfg_0003"
    tiny_video(root / f"{folder}_human/cam_045322071843/color.mp4")
    tiny_video(root / f"{folder}/cam_045322071843/color.mp4")
    write_json(root / "task_description.json", {"task_0092": {"task_description_english": "Open the box"}})
    return [(f"{folder}_human/cam_045322071843/color.mp4", [(0.0, END_OF_FILE_S, "Open the box")])]


def something_something(root: Path) -> Found:
    for name in ("9", "10"):
        tiny_video(root / f"20bn-something-something-v2/{name}.mkv")
        (root / f"20bn-something-something-v2/{name}.mkv").rename(root / f"20bn-something-something-v2/{name}.webm")
    labels = [{"id": "9", "label": "holding potato", "template": "Holding [something]", "placeholders": ["potato"]}]
    write_json(root / "labels/train.json", labels)
    return [
        ("20bn-something-something-v2/9.webm", [(0.0, END_OF_FILE_S, "holding potato")]),
        ("20bn-something-something-v2/10.webm", []),
    ]


def egodex(root: Path) -> Found:
    for number in (2, 10):
        tiny_video(root / f"part1/fold_towel/{number}.mp4")
        with h5py.File(root / f"part1/fold_towel/{number}.hdf5", "w") as file:
            file["camera/intrinsic"], file["transforms/camera"] = np.eye(3), np.tile(np.eye(4), (12, 1, 1))
            file.attrs["llm_description"], file.attrs["llm_description2"] = "fold a towel", "unfold a towel"
            file.attrs["which_llm_description"] = "1" if number == 2 else "2"
    return [
        ("part1/fold_towel/2.mp4", [(0.0, END_OF_FILE_S, "fold a towel")]),
        ("part1/fold_towel/10.mp4", [(0.0, END_OF_FILE_S, "unfold a towel")]),
    ]


LAYOUTS: dict[str, Callable[[Path], Found]] = {
    made.__name__: made
    for made in (
        *(ego4d, epic_kitchens, ego_exo4d, hoi4d, assembly101, holoassist, rh20t_human, something_something, egodex),
    )
}


def videos(name: str, root: Path) -> list[SourceVideo]:
    return list(ADAPTERS[name].videos(root))


def test_every_adapter_has_its_layout_here() -> None:
    assert LAYOUTS.keys() == ADAPTERS.keys() - {"folder"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_download_is_recognised_and_its_texts_keep_their_time(tmp_path: Path, name: str) -> None:
    expected = LAYOUTS[name](tmp_path)
    assert find_adapter("auto", tmp_path).name == name
    found = [
        (video.file, [(each.start_s, each.stop_s, each.text) for each in video.narrations])
        for video in videos(name, tmp_path)
    ]
    assert found == expected
    assert all(narration.origin for video in videos(name, tmp_path) for narration in video.narrations)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_video_of_a_layout_can_be_planned(tmp_path: Path, name: str) -> None:
    expected = LAYOUTS[name](tmp_path)
    items = segments(tmp_path)
    assert sorted(item.file for item in items) == sorted(file for file, _ in expected)
    assert {item.dataset for item in items} == {name}
    assert {item.may_copy for item in items} == {ADAPTERS[name].may_copy}
    assert all(not item.unreadable for item in items)


def test_what_nobody_knows_is_a_plain_folder(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    assert find_adapter("auto", tmp_path).name == "folder"
    with pytest.raises(UnknownNameError, match="did you mean ego4d"):
        find_adapter("ego4", tmp_path)


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [
        ("ego4d", "v2/annotations/narration.json", "no narrations of video uid-1"),
        ("hoi4d", "ZY20210800001/H1/C2/N31/S92/s05/T2/action/color.json", "no action segments"),
        ("rh20t_human", "task_description.json", "no description of task_0092"),
        ("egodex", "part1/fold_towel/2.hdf5", "no poses and no text"),
    ],
)
def test_missing_annotations_are_named_and_the_video_stays(
    tmp_path: Path, name: str, broken: str, message: str
) -> None:
    expected = LAYOUTS[name](tmp_path)
    (tmp_path / broken).unlink()
    found = videos(name, tmp_path)
    assert len(found) == len(expected)
    assert message in str([video.problems for video in found])


def test_a_segment_without_length_is_named_and_the_others_stay(tmp_path: Path) -> None:
    holoassist(tmp_path)
    ((problem,),) = (video.problems for video in videos("holoassist", tmp_path))
    assert problem.where == "event 3"
