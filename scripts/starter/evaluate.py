#!/usr/bin/env python3
"""Measure the word error rate of greedy decoding, each recording whole, by kind of speech.

    scripts/starter/evaluate.py WEIGHTS FOLDER... [--save TABLE.md]

A FOLDER has a manifest.tsv or LibriSpeech's own layout; or it was written by prepare.py, and then
its held-out speakers are measured. With --save, export.py can put the figures into the model card.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from corpus import read_folder
from decoding import Score, score
from network import Network
from packing import unpack
from prepare import decode
from shards import Example, read_shard, shard_paths
from tqdm import tqdm

LONGEST_S = 36.0  # Attention to all of a longer recording at once would take gigabytes.


def examples(folder: Path) -> Iterator[Example]:
    """The examples of a prepared folder, or of a folder of recordings, but for the longest."""
    if any(folder.glob("development-*.npz")):
        for path in shard_paths(folder, "development"):
            yield from read_shard(path)
        return
    for utterance in read_folder(folder):
        if utterance.duration_s <= LONGEST_S:
            samples = decode(utterance.path)
            yield Example(samples, utterance.transcript, utterance.speaker, utterance.subset)


def table(scores: dict[str, Score]) -> str:
    """The figures as a table in Markdown."""
    lines = ["| speech | utterances | words | word error rate |", "|---|---|---|---|"]
    for subset, found in scores.items():
        rate = f"{found.word_error_rate:.1f} %"
        if not found.n_words:
            rate = f"{found.n_errors} words written"
        lines.append(f"| {subset} | {found.n_utterances} | {found.n_words} | {rate} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, help="npz file of a training, or of the package")
    parser.add_argument("folders", type=Path, nargs="+", help="folders with recordings")
    parser.add_argument("--save", type=Path, help="file to write the table into, for export.py")
    arguments = parser.parse_args()

    with np.load(arguments.weights) as arrays:
        network = Network(unpack(arrays))
    found = [example for folder in arguments.folders for example in examples(folder)]
    written = table(score(network, tqdm(found, leave=False)))
    print(written)
    if arguments.save:
        arguments.save.write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
