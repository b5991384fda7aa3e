"""Prepared data: decoded sound and transcripts in a few files of at most 64 MB.

A shard is `NAME.npz` with `samples` (int16, 16 kHz, all utterances one after the other), `stops`
(where each ends), `transcripts`, `speakers` and `subsets`. Beside it may stand `NAME.teacher.npz`
with a teacher's posteriors: `probabilities` (uint8 [frame, label], in 1/255) and `stops`; and
`NAME.times.npz` with the sample where each letter is heard: `times` (int32) and `stops`.
A shard is written under another name and renamed, so one that exists is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES_PER_SHARD = 31_000_000  # 62 MB


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance to learn from or to measure on.

    Attributes:
        samples: int16 at 16 kHz, [n_samples].
        transcript: What is said, in capitals; empty for noise.
        speaker: Who says it.
        subset: What kind of speech it is.
        teacher: A teacher's posteriors in 1/255, uint8 [teacher's frame, label], or None.
        times: The sample where each letter of the transcript is heard, int32 [letter], or None;
            empty where that could not be found.
    """

    samples: np.ndarray
    transcript: str
    speaker: str
    subset: str
    teacher: np.ndarray | None = None
    times: np.ndarray | None = None


def write_shard(path: Path, examples: Sequence[Example]) -> None:
    """Write a shard; `teacher` and `times` are not written."""
    write_arrays(
        path,
        samples=np.concatenate([e.samples for e in examples]),
        stops=np.cumsum([len(e.samples) for e in examples]),
        transcripts=np.array([e.transcript for e in examples]),
        speakers=np.array([e.speaker for e in examples]),
        subsets=np.array([e.subset for e in examples]),
    )


def read_shard(path: Path) -> list[Example]:
    """Read a shard, with what has been written beside it."""
    with np.load(path) as arrays:
        samples, stops = arrays["samples"], arrays["stops"]
        columns = [arrays[name].tolist() for name in ("transcripts", "speakers", "subsets")]
    teacher = _beside(teacher_path(path), "probabilities", len(stops))
    times = _beside(times_path(path), "times", len(stops))
    waves = np.split(samples, stops[:-1])
    return [Example(*row) for row in zip(waves, *columns, teacher, times, strict=True)]


def write_beside(
    prepared: Path,
    beside: Callable[[Path], Path],
    name: str,
    find: Callable[[list[Example]], list[np.ndarray]],
    *,
    compressed: bool = False,
) -> None:
    """Write what `find` gives for each example beside the training shards that lack it."""
    for path in shard_paths(prepared, "train"):
        if beside(path).exists():
            continue
        print(path.name, flush=True)
        found = find(read_shard(path))
        stops = np.cumsum([len(each) for each in found])
        arrays = {name: np.concatenate(found), "stops": stops}
        write_arrays(beside(path), compressed=compressed, **arrays)


def _beside(path: Path, name: str, n_examples: int) -> Sequence[np.ndarray | None]:
    """One array for every example, if the file is there."""
    if not path.is_file():
        return [None] * n_examples
    with np.load(path) as arrays:
        return np.split(arrays[name], arrays["stops"][:-1])


def teacher_path(shard: Path) -> Path:
    """Where the teacher's posteriors of a shard are kept."""
    return shard.with_suffix(".teacher.npz")


def times_path(shard: Path) -> Path:
    """Where the times of the letters of a shard are kept."""
    return shard.with_suffix(".times.npz")


def shard_paths(prepared: Path, split: str) -> list[Path]:
    """The shards of `train` or `development`, in order."""
    paths = [p for p in sorted(prepared.glob(f"{split}-*.npz")) if p.suffixes == [".npz"]]
    if not paths:
        raise SystemExit(f"{prepared} holds no {split}-*.npz. Run prepare.py first.")
    return paths


def write_arrays(path: Path, *, compressed: bool = False, **arrays: Any) -> None:
    """Write an npz file so that it is there completely or not at all."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)
    unfinished.replace(path)
