"""The bundled sample of speech, and what is known about it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

import streamer
from streamer.audio import Samples
from streamer.settings import to_samples

FOLDER = Path(streamer.__file__).parent / "sample"
SAMPLE = FOLDER / "sample.flac"


@cache
def sample() -> Samples:
    """The whole sample, 16 kHz mono; read-only, because it is shared."""
    samples, _ = soundfile.read(SAMPLE, dtype="float32")
    samples.flags.writeable = False
    return samples


def excerpt(start_s: float, stop_s: float) -> Samples:
    """A part of the sample."""
    return sample()[to_samples(start_s) : to_samples(stop_s)]


def sentences() -> list[tuple[float, float]]:
    """When each sentence begins and ends, from the table in the sample's README."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\w+` \| ([\d.]+) \| ([\d.]+) \|", readme, re.MULTILINE)
    return [(float(start_s), float(end_s)) for start_s, end_s in rows]


def transcript() -> str:
    """What is said, from the sample's manifest."""
    header, row = (FOLDER / "manifest.tsv").read_text(encoding="utf-8").splitlines()
    return dict(zip(header.split("\t"), row.split("\t"), strict=True))["transcript"]


def white_noise(n_samples: int, level_db: float, seed: int = 0) -> Samples:
    """Gaussian noise of a level in decibels of full scale, always the same."""
    noise = np.random.default_rng(seed).normal(size=n_samples) * 10 ** (level_db / 20)
    return noise.astype(np.float32)
