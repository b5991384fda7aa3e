#!/usr/bin/env python3
"""Train the network on prepared shards, with CTC and, where there are any, a teacher's posteriors.

    scripts/starter/train.py PREPARED RUN --minutes 100

Writes into RUN: `checkpoint.npz` (every few minutes; a second call with the same RUN goes on from
it), `weights.npz` (float32, the newest) and `log.jsonl` (losses, learning rate, word error rate
of the held-out speakers). The learning rate follows the clock, not the number of steps, and ends
near zero when the minutes are over, so any machine uses the time that it is given.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from batches import Plan, ahead, epochs, lengths_of
from decoding import score
from keras import ops
from labels import greedy_text
from network import Network
from packing import unpack
from rapidfuzz.distance import Levenshtein
from shards import Example, read_shard, shard_paths, write_arrays

START = Path(__file__).parents[2] / "streamer" / "models" / "starter_weights" / "weights.npz"
WARM_UP = 0.03  # of the time
FALL = 0.4  # of the time: when the learning rate begins to fall
LAST_RATE = 0.01  # of the peak
TEACHER_ERRORS = 0.15  # beyond this part of wrong letters a teacher has misheard the utterance
EVALUATED_S = 120.0  # of each held-out subset, so that it takes seconds


class Learner(Network):
    """The network with its loss."""

    def __init__(self, weights: dict[str, np.ndarray], teacher_weight: float) -> None:
        """Take the weights to start from and the weight of the teacher's part of the loss."""
        super().__init__(weights)
        self._teacher_weight = teacher_weight
        self._ctc = keras.metrics.Mean(name="ctc")
        self._teacher = keras.metrics.Mean(name="teacher")

    def compute_loss(  # noqa: D102  (what Keras asks for)
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        log_probs, n_frames = y_pred["log_probs"], y_pred["n_frames"]
        if keras.backend.backend() == "tensorflow":
            from ctc import ctc_loss

            ctc = ctc_loss(y["labels"], log_probs, y["n_labels"], n_frames)
        else:
            ctc = ops.ctc_loss(y["labels"], log_probs, y["n_labels"], n_frames, mask_index=0)
        ctc = ops.sum(ctc) / ops.cast(ops.sum(n_frames), "float32")

        valid = (
            ops.arange(ops.shape(log_probs)[1], dtype="int32")[None, :]
            < ops.cast(n_frames, "int32")[:, None]
        )
        weight = ops.cast(valid, "float32") * y["taught"][:, None]
        target = ops.cast(y["teacher"], "float32")
        target = target / ops.maximum(ops.sum(target, axis=-1, keepdims=True), 1.0)
        # <s>, </s> and <unk> are never a target; the product with their log-probabilities is 0.
        distance = -ops.sum(target * log_probs, axis=-1)
        teacher = ops.sum(weight * distance) / ops.maximum(ops.sum(weight), 1.0)
        self._ctc.update_state(ctc)
        self._teacher.update_state(teacher)
        return ctc + self._teacher_weight * teacher


@dataclass(slots=True)
class Progress:
    """How far a training has come.

    Attributes:
        step: Batches done.
        elapsed_s: Time spent, of all calls together.
        audio_s: Sound learned from, padding not counted.
    """

    step: int = 0
    elapsed_s: float = 0.0
    audio_s: float = 0.0


def rate_at(part: float, peak: float) -> float:
    """Learning rate when this part of the time is over: a short rise, level, half a cosine."""
    if part < WARM_UP:
        return peak * max(part / WARM_UP, 0.01)
    fallen = min(1.0, max(0.0, (part - FALL) / (1 - FALL)))
    return peak * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * fallen)))


def read_examples(prepared: Path, split: str, fraction: float) -> list[Example]:
    """The examples of as many shards as make up this part of them."""
    paths = shard_paths(prepared, split)
    paths = paths[: math.ceil(fraction * len(paths))]
    return [_without_bad_teacher(e) for path in paths for e in read_shard(path)]


def _without_bad_teacher(example: Example) -> Example:
    if example.teacher is None:
        return example
    heard = greedy_text(example.teacher.argmax(-1))
    errors = Levenshtein.distance(heard, example.transcript)
    if errors > TEACHER_ERRORS * len(example.transcript):
        return replace(example, teacher=None)
    return example


def some_of_each(examples: list[Example], longest_s: float) -> list[Example]:
    """The first examples of each subset, up to so much time."""
    chosen, taken_s = [], dict.fromkeys((e.subset for e in examples), 0.0)
    for example in examples:
        if taken_s[example.subset] < longest_s:
            taken_s[example.subset] += len(example.samples) / 16_000
            chosen.append(example)
    return chosen


def save(path: Path, network: Learner, progress: Progress) -> None:
    """Write everything that is needed to go on."""
    optimizer = {f"optimizer/{i}": v for i, v in enumerate(network.optimizer.variables)}
    write_arrays(
        path,
        **network.arrays(),
        **{name: ops.convert_to_numpy(v.value) for name, v in optimizer.items()},
        **{f"progress/{name}": getattr(progress, name) for name in Progress.__slots__},
    )


def load(path: Path, network: Learner) -> Progress:
    """Go on where `save` was called."""
    with np.load(path) as arrays:
        network.load_arrays(arrays)
        for i, variable in enumerate(network.optimizer.variables):
            variable.assign(arrays[f"optimizer/{i}"])
        return Progress(**{name: arrays[f"progress/{name}"].item() for name in Progress.__slots__})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path, help="folder that prepare.py has written")
    parser.add_argument("run", type=Path, help="folder of this training")
    parser.add_argument("--minutes", type=float, required=True, help="how long to train")
    parser.add_argument("--fraction", type=float, default=1.0, help="part of the data to use")
    parser.add_argument("--start", type=Path, default=START, help="weights to start from")
    parser.add_argument("--rate", type=float, default=2e-4, help="highest learning rate")
    parser.add_argument("--batch", type=float, default=64, help="seconds of sound in a batch")
    parser.add_argument("--lengths", type=int, default=5, help="how many lengths of batches")
    parser.add_argument("--teacher-weight", type=float, default=1.0)
    parser.add_argument(
        "--freeze",
        nargs="*",
        default=["conv", "norm_", "layer0", "layer1", "layer2"],
        help="beginnings of names of weights; by default what the writing of text shares",
    )
    parser.add_argument(
        "--weight",
        nargs=2,
        action="append",
        default=[],
        metavar=("SUBSET", "TIMES"),
        help="how often a subset is taken in an epoch, by the beginning of its name",
    )
    parser.add_argument("--every", type=float, default=10, help="minutes between checkpoints")
    parser.add_argument("--steps", type=int, help="stop after so many steps, if they come first")
    parser.add_argument("--log-every", type=int, default=20, help="steps between lines of the log")
    parser.add_argument(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="change the sound, and put silence and noise among it",
    )
    parser.add_argument(
        "--jit",
        action=argparse.BooleanOptionalAction,
        default=keras.backend.backend() != "torch",
        help="compile each length with XLA: slow to start, then fast (default: but for PyTorch)",
    )
    parser.add_argument(
        "--precision",
        choices=["float32", "mixed_bfloat16"],
        default="float32",
        help="bfloat16 is faster on GPUs, and on CPUs that have it with PyTorch",
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    arguments.run.mkdir(parents=True, exist_ok=True)
    examples = read_examples(arguments.prepared, "train", arguments.fraction)
    held_out = some_of_each(read_examples(arguments.prepared, "development", 1.0), EVALUATED_S)
    plan = Plan(
        lengths=lengths_of(examples, arguments.lengths),
        batch_s=arguments.batch,
        weights={subset: float(times) for subset, times in arguments.weight},
        augment=arguments.augment,
    )
    keras.config.set_dtype_policy(arguments.precision)
    with np.load(arguments.start) as arrays:
        network = Learner(unpack(arrays), arguments.teacher_weight)
    network.freeze(tuple(arguments.freeze))
    optimizer = keras.optimizers.AdamW(
        arguments.rate, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0
    )
    network.compile(optimizer, jit_compile=arguments.jit, run_eagerly=not arguments.jit)
    optimizer.build(network.trainable_variables)
    checkpoint = arguments.run / "checkpoint.npz"
    progress = load(checkpoint, network) if checkpoint.exists() else Progress()
    log = (arguments.run / "log.jsonl").open("a", encoding="utf-8")

    def report(**values: Any) -> None:
        log.write(json.dumps({"step": progress.step, **values}) + "\n")
        log.flush()
        print(*(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items()))

    def evaluate() -> None:
        scores = score(network, held_out)
        rates = {subset: round(found.word_error_rate, 2) for subset, found in scores.items()}
        report(minutes=progress.elapsed_s / 60, wer=rates)

    hours = sum(len(e.samples) for e in examples) / 16_000 / 3600
    taught = sum(e.teacher is not None for e in examples)
    print(
        f"{len(examples)} utterances, {hours:.2f} h, {taught} with a teacher; batches of "
        f"{[round(n / 16_000, 1) for n in plan.lengths]} s",
        flush=True,
    )
    if progress.step == 0:
        evaluate()
    batches = ahead(epochs(examples, plan, arguments.seed + progress.step))
    whole_s, saved_s, shown = 60 * arguments.minutes, progress.elapsed_s, replace(progress)
    network.reset_metrics()
    began = time.monotonic() - progress.elapsed_s
    for x, y in batches:
        rate = rate_at(progress.elapsed_s / whole_s, arguments.rate)
        optimizer.learning_rate = rate
        logs = network.train_on_batch(x, y, return_dict=True)
        progress.step += 1
        progress.audio_s += float(x["valid"].sum()) / 16_000
        progress.elapsed_s = time.monotonic() - began
        over = progress.elapsed_s >= whole_s or progress.step == arguments.steps
        if progress.step % arguments.log_every == 0 or over:
            speed = (progress.audio_s - shown.audio_s) / (progress.elapsed_s - shown.elapsed_s)
            report(
                minutes=progress.elapsed_s / 60,
                audio_hours=progress.audio_s / 3600,
                rate=rate,
                ctc=float(logs["ctc"]),
                teacher=float(logs["teacher"]),
                audio_s_per_s=speed,
            )
            network.reset_metrics()
            shown = replace(progress)
        if over or progress.elapsed_s - saved_s >= 60 * arguments.every:
            saved_s = progress.elapsed_s
            save(checkpoint, network, progress)
            write_arrays(arguments.run / "weights.npz", **network.arrays())
            evaluate()
        if over:
            break
    batches.close()
    log.close()


if __name__ == "__main__":
    main()
