#!/usr/bin/env python3
"""Let a teacher listen to the shards, and keep its posteriors beside them.

    scripts/starter/label.py PREPARED SAVED_MODEL

The teacher is a TensorFlow SavedModel whose `serving_default` takes `waveforms` (float32 [batch,
samples]) and `valid` (int32 [batch]) and returns `log_probs` (over wav2vec2-960h's labels) and
`frames`. Shards that have been labelled are not done again.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import numpy as np
import tensorflow as tf
from shards import Example, teacher_path, write_beside
from tqdm import tqdm

BATCH_S = 30.0


def posteriors(
    signature: tf.types.experimental.ConcreteFunction, batch: list[Example]
) -> list[np.ndarray]:
    """The teacher's probabilities in 1/255, one uint8 array [frame, label] an example."""
    valid = np.array([len(e.samples) for e in batch], np.int32)
    waveforms = np.zeros((len(batch), valid.max()), np.float32)
    for row, example in zip(waveforms, batch, strict=True):
        row[: len(example.samples)] = example.samples / np.float32(32_768)
    found = signature(waveforms=tf.constant(waveforms), valid=tf.constant(valid))
    probabilities = np.round(255 * np.exp(found["log_probs"].numpy())).astype(np.uint8)
    return [p[:n] for p, n in zip(probabilities, found["frames"].numpy(), strict=True)]


def label(
    signature: tf.types.experimental.ConcreteFunction, examples: list[Example]
) -> list[np.ndarray]:
    """The posteriors of every example, computed in batches of similar length."""
    found: list[np.ndarray] = [np.empty(0)] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].samples))
    with tqdm(total=len(order), leave=False) as progress:
        while order:
            longest = len(examples[order[-1]].samples)
            n = max(1, int(BATCH_S * 16_000 / longest))
            chosen, order = order[-n:], order[:-n]
            for i, p in zip(
                chosen, posteriors(signature, [examples[i] for i in chosen]), strict=True
            ):
                found[i] = p
            progress.update(len(chosen))
    return found


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path, help="folder that prepare.py has written")
    parser.add_argument("teacher", type=Path, help="folder of the SavedModel")
    arguments = parser.parse_args()

    loaded = tf.saved_model.load(str(arguments.teacher))
    signature = loaded.signatures["serving_default"]
    find = functools.partial(label, signature)
    write_beside(arguments.prepared, teacher_path, "probabilities", find, compressed=True)


if __name__ == "__main__":
    main()
