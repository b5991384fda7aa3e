#!/usr/bin/env python3
"""Decode folders of recordings into shards to train from, with some speakers held out.

    scripts/starter/prepare.py PREPARED FOLDER...

Each FOLDER has a manifest.tsv or LibriSpeech's own layout. What is there already is not done
again, so that a second call goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from corpus import Utterance, development_speakers, read_folder
from shards import SAMPLES_PER_SHARD, Example, write_shard
from tqdm import tqdm

SAMPLE_RATE = 16_000


def decode(path: Path) -> np.ndarray:
    """Read a recording as int16 samples at 16 kHz, its channels averaged."""
    samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)
    return np.round(np.clip(mono, -1, 1) * 32_767).astype(np.int16)


def groups(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Cut a list of utterances so that each part fits into a shard."""
    group: list[Utterance] = []
    n_samples = 0.0
    for utterance in utterances:
        n = utterance.duration_s * SAMPLE_RATE
        if group and n_samples + n > SAMPLES_PER_SHARD:
            yield group
            group, n_samples = [], 0.0
        group.append(utterance)
        n_samples += n
    if group:
        yield group


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path, help="folder to write the shards into")
    parser.add_argument("folders", type=Path, nargs="+", help="folders with recordings")
    parser.add_argument(
        "--development",
        type=float,
        default=0.08,
        help="at most this part of each subset is held out, by speaker (default: %(default)s)",
    )
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="use only this part of the utterances"
    )
    parser.add_argument(
        "--longest", type=float, default=20.5, help="leave out what is longer, in seconds"
    )
    arguments = parser.parse_args()

    utterances = [u for folder in arguments.folders for u in read_folder(folder)]
    held_out = development_speakers(utterances, arguments.development)
    random.Random(0).shuffle(utterances)  # Every shard is a fair sample of everything.
    utterances = utterances[: max(1, round(arguments.fraction * len(utterances)))]
    utterances = [u for u in utterances if u.duration_s <= arguments.longest]
    splits = {
        "train": [u for u in utterances if u.speaker not in held_out],
        "development": [u for u in utterances if u.speaker in held_out],
    }
    arguments.prepared.mkdir(parents=True, exist_ok=True)
    for split, chosen in splits.items():
        hours = sum(u.duration_s for u in chosen) / 3600
        n_speakers = len({u.speaker for u in chosen})
        print(f"{split}: {len(chosen)} utterances, {n_speakers} speakers, {hours:.2f} h")
        for i, group in enumerate(groups(chosen)):
            path = arguments.prepared / f"{split}-{i:05d}.npz"
            if not path.exists():
                progress = tqdm(group, desc=path.name, leave=False)
                write_shard(
                    path,
                    [Example(decode(u.path), u.transcript, u.speaker, u.subset) for u in progress],
                )


if __name__ == "__main__":
    main()
