#!/usr/bin/env python3
"""Find when every letter of the transcripts is said, so that training can cut utterances short.

    scripts/starter/align.py PREPARED

What is recognised while somebody speaks ends in the middle of a word; `train.py` makes such rows of
the utterances that have been aligned. Shards that have been aligned are not done again.
"""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from batches import CENTRE, collate
from labels import labels_of
from network import HOP, Network, n_frames_of
from packing import unpack
from shards import Example, times_path, write_beside
from tqdm import tqdm
from train import START

from streamer.alignment import align

BLANK = 0
BATCH = 16  # utterances of similar length


def letter_times(network: Network, examples: list[Example]) -> list[np.ndarray]:
    """For each example the sample where each letter is heard, int32 [letter].

    An utterance that has no room for its transcript has none.
    """
    found: list[np.ndarray] = [np.empty(0, np.int32)] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].samples))
    with tqdm(total=len(order), leave=False) as progress:
        for first in range(0, len(order), BATCH):
            chosen = order[first : first + BATCH]
            rows = [(examples[i].samples / np.float32(32_768), "", None) for i in chosen]
            x, _ = collate(rows, len(rows[-1][0]))
            log_probs = network.predict_on_batch(x)["log_probs"]
            for i, row in zip(chosen, log_probs, strict=True):
                n_frames = n_frames_of(len(examples[i].samples))
                found[i] = _times(row[:n_frames], examples[i].transcript)
            progress.update(len(chosen))
    return found


def _times(log_probs: np.ndarray, transcript: str) -> np.ndarray:
    alignment = align(log_probs, labels_of(transcript), BLANK) if len(log_probs) else None
    runs = alignment.runs if alignment else []
    return np.array([HOP * first + CENTRE for _, first, _ in runs], np.int32)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path, help="folder that prepare.py has written")
    parser.add_argument("--weights", type=Path, default=START, help="the network that listens")
    arguments = parser.parse_args()

    with np.load(arguments.weights) as arrays:
        network = Network(unpack(arrays))
    network.compile(run_eagerly=True)  # Every batch has another length.
    find = functools.partial(letter_times, network)
    write_beside(arguments.prepared, times_path, "times", find)


if __name__ == "__main__":
    main()
