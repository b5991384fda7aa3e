#!/usr/bin/env python3
"""Put trained weights into the package, in eight bits, and check that it reads them.

    scripts/starter/export.py WEIGHTS [--figures TABLE.md]

Writes `weights.npz` of the package and the log-probabilities that the tests compare with, computed
by the network that was trained. With --figures, a table that evaluate.py has written replaces the
one in the model card.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from decoding import log_probs
from network import Network, shapes
from packing import pack, unpack
from shards import write_arrays

from streamer.models.starter import Starter

ROOT = Path(__file__).parents[2]
PACKAGED = ROOT / "streamer" / "models" / "starter_weights"
REFERENCE = ROOT / "tests" / "data" / "starter_reference.npz"
SHARED = ("conv", "norm_", "layer0", "layer1", "layer2")
ROUNDING = 0.005  # of the largest weight: half a step of eight bits, and a little
LARGEST_DIFFERENCE = 1e-3
FIGURES = ("<!-- figures -->\n", "\n<!-- /figures -->")


def packed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights in eight bits, if the package can use them."""
    with np.load(PACKAGED / "weights.npz") as arrays:
        shared = unpack(arrays)
    changed = [
        name
        for name in shapes()
        if name.startswith(SHARED)
        and np.abs(weights[name] - shared[name]).max() > ROUNDING * np.abs(shared[name]).max()
    ]
    if changed:
        raise SystemExit(
            f"Expected {', '.join(SHARED)} as in the package, found others in "
            f"{', '.join(changed)}: what writes the text shares them. Train without --freeze."
        )
    try:
        return pack({name: weights[name] for name in shapes()})
    except ValueError as error:
        raise SystemExit(f"{error} Train with a lower --rate.") from error


def reference(network: Network, waves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Waves and their log-probabilities, named as the tests want them."""
    found = {}
    for name, wave in waves.items():
        found[f"wave_{name}"] = wave
        found[f"log_probs_{name}"] = log_probs(network, wave)
    return found


def check(weights: Path, expected: dict[str, np.ndarray]) -> float:
    """Run the package's own network on the waves, and return the largest difference."""
    with np.load(weights) as arrays, np.load(PACKAGED / "writing.npz") as writing:
        packaged = Starter({**writing, **arrays})
    largest = 0.0
    for name in (n.removeprefix("wave_") for n in expected if n.startswith("wave_")):
        wave = expected[f"wave_{name}"]
        found, _ = packaged(tf.constant(wave[None]), tf.constant([len(wave)], tf.int32))
        largest = max(
            largest, float(np.abs(found.numpy()[0] - expected[f"log_probs_{name}"]).max())
        )
    if not largest < LARGEST_DIFFERENCE:
        raise SystemExit(
            f"The package's network differs by {largest:.2g} from the one that was trained; at "
            f"most {LARGEST_DIFFERENCE:g} is rounding. One of them has been changed alone."
        )
    return largest


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, help="weights.npz of a training")
    parser.add_argument("--figures", type=Path, help="table for the model card, by evaluate.py")
    parser.add_argument("--package", type=Path, default=PACKAGED, help="folder to write into")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="file for the tests")
    arguments = parser.parse_args()

    with np.load(arguments.weights) as arrays:
        weights = packed(unpack(arrays))
    network = Network(unpack(weights))
    with np.load(REFERENCE) as arrays:
        waves = {n.removeprefix("wave_"): arrays[n] for n in arrays if n.startswith("wave_")}
    expected = reference(network, waves)

    arguments.package.mkdir(parents=True, exist_ok=True)
    write_arrays(arguments.package / "candidate.npz", **weights)
    largest = check(arguments.package / "candidate.npz", expected)
    (arguments.package / "candidate.npz").replace(arguments.package / "weights.npz")
    write_arrays(arguments.reference, **expected)
    print(f"{arguments.package / 'weights.npz'}: the package agrees to {largest:.1g}")

    if arguments.figures:
        card = arguments.package / "README.md"
        before, _, rest = card.read_text(encoding="utf-8").partition(FIGURES[0])
        _, _, after = rest.partition(FIGURES[1])
        table = arguments.figures.read_text(encoding="utf-8").strip()
        card.write_text(before + FIGURES[0] + table + FIGURES[1] + after, encoding="utf-8")
        print(f"{card}: figures replaced")


if __name__ == "__main__":
    main()
