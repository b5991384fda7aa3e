"""Batches to train on: of similar length, lightly augmented, with silence and noise among them.

Every change is made to the sound itself, so the network needs no part for it. A batch is a pair
`x, y` of dictionaries of arrays, as `train.py` gives them to the network and to the loss.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import soxr
from labels import labels_of
from network import HOP, N_LABELS, n_frames_of
from shards import Example

SAMPLE_RATE = 16_000
SPEEDS = (0.9, 1.0, 1.0, 1.1)
SHORTEST = 6_400  # 0.4 s, enough frames for a word
SHORT_LENGTHS = (32_640, 72_960)  # 2.0 and 4.6 s: of batches of what is cut short
TEACHER_HOP = 320
# The centre of the teacher's frame i is sample 320 i; of ours, with 895 samples, 384 i + 447.
CENTRE = 447

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What batches are made of.

    Attributes:
        lengths: Lengths of batches in samples, ascending; each is compiled once.
        batch_s: Seconds of sound in a batch.
        weights: How often a subset is taken in an epoch, by the beginning of its name; 1 where
            nothing is said.
        noise: Which part of the rows is silence or noise with nothing said.
        cut: Which part of the rows whose letters have times ends in mid-speech, as what is
            recognised while somebody speaks.
        augment: Whether the sound is changed.
    """

    lengths: Sequence[int]
    batch_s: float
    weights: dict[str, float]
    noise: float = 0.2
    cut: float = 0.35
    augment: bool = True


def lengths_of(examples: Sequence[Example], n_lengths: int) -> list[int]:
    """Choose lengths of batches so that little of them is padding.

    They divide the total time, not the number of utterances, into equal parts; the longest holds
    the longest utterance at the lowest speed. Before them come `SHORT_LENGTHS`.
    """
    n = np.sort([len(e.samples) for e in examples])
    part = np.searchsorted(np.cumsum(n), n.sum() * np.arange(1, n_lengths + 1) / n_lengths)
    lengths = n[np.minimum(part, len(n) - 1)] / min(SPEEDS)
    return sorted({int(np.ceil(length / HOP)) * HOP for length in [*SHORT_LENGTHS, *lengths]})


def epochs(examples: Sequence[Example], plan: Plan, seed: int) -> Iterator[tuple[Arrays, Arrays]]:
    """Give batches without end, in an order that `seed` decides."""
    rng = np.random.default_rng(seed)
    rows: dict[int, list[tuple[np.ndarray, str, np.ndarray | None]]] = {
        length: [] for length in plan.lengths
    }
    while True:  # Rows wait over the end of an epoch: a little data may not fill a batch.
        for i in _order(examples, plan, rng):
            row = _row(examples[i], plan, rng)
            length = next((n for n in plan.lengths if n >= len(row[0])), None)
            if length is None or not _can_be_written(row[1], n_frames_of(len(row[0]))):
                continue
            rows[length].append(row)
            if len(rows[length]) == rows_of(plan, length):
                yield collate(rows[length], length)
                rows[length] = []


def _can_be_written(transcript: str, n_frames: int) -> bool:
    """Whether CTC has a path: a frame for every label, and a blank between equal ones."""
    repeated = sum(a == b for a, b in pairwise(transcript))
    return len(transcript) + repeated <= n_frames


def rows_of(plan: Plan, length: int) -> int:
    """How many rows a batch of this length has."""
    return max(1, round(plan.batch_s * SAMPLE_RATE / length))


def _order(examples: Sequence[Example], plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """The examples of an epoch: 2.5 times is twice for all and a third time for half of them."""
    weights = np.array([_weight(e.subset, plan.weights) for e in examples])
    times = np.floor(weights + rng.random(len(weights))).astype(int)
    return rng.permutation(np.repeat(np.arange(len(examples)), times))


def _weight(subset: str, weights: dict[str, float]) -> float:
    return next((w for prefix, w in weights.items() if subset.startswith(prefix)), 1.0)


def _row(
    example: Example, plan: Plan, rng: np.random.Generator
) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Samples, transcript and teacher's posteriors at our frames."""
    samples = example.samples.astype(np.float32) / 32_768
    transcript, teacher, speed = example.transcript, example.teacher, 1.0
    if plan.augment and rng.random() < plan.noise:
        sound = noise(len(samples), rng) if rng.random() < 0.5 else _noise_that_sets_in(rng)
        samples, transcript, teacher = sound, "", None
    elif plan.augment:
        speed = SPEEDS[rng.integers(len(SPEEDS))]
        samples = augment(samples, speed, rng)
        if example.times is not None and len(example.times) and rng.random() < plan.cut:
            n = int(np.exp(rng.uniform(np.log(SHORTEST), np.log(max(len(samples), SHORTEST)))))
            n_letters = int(np.sum(example.times / speed < n))
            samples, transcript = samples[:n], transcript[:n_letters].rstrip()
    samples = np.pad(samples, (0, max(0, SHORTEST - len(samples))))
    frames = n_frames_of(len(samples))
    if teacher is None:
        return samples, transcript, None
    return samples, transcript, resample_posteriors(teacher, frames, speed)


def resample_posteriors(teacher: np.ndarray, n_frames: int, speed: float) -> np.ndarray:
    """Bring the teacher's frames (20 ms) to ours (24 ms), uint8 [frame, label].

    CTC is sure of a letter in one frame only. A mean over neighbours would make the blank win in
    both, so of the teacher's frames whose centres lie in one of ours the one that says most counts;
    when two say different letters, the second goes into our next frame.
    """
    ours = np.round((np.arange(len(teacher)) * TEACHER_HOP / speed - CENTRE) / HOP).astype(int)
    best = teacher.argmax(-1)
    found = np.zeros((n_frames + 1, N_LABELS), np.uint8)
    found[:, 0] = 255
    for theirs in np.flatnonzero((teacher[:, 0] < 250) & (ours >= 0) & (ours < n_frames)):
        frame, label = ours[theirs], best[theirs]
        said = found[frame].argmax()
        if label and said and label != said:
            frame += 1
        if teacher[theirs, 0] < found[frame, 0]:
            found[frame] = teacher[theirs]
    return found[:n_frames]


def augment(samples: np.ndarray, speed: float, rng: np.random.Generator) -> np.ndarray:
    """Change speed, band, level and background, and silence a few short spans."""
    if speed != 1.0:
        samples = soxr.resample(samples, speed * SAMPLE_RATE, SAMPLE_RATE, quality="LQ")
    if rng.random() < 0.5:
        samples = _without_bands(samples, rng)
    for _ in range(rng.integers(0, 1 + len(samples) // 40_000)):
        start = rng.integers(len(samples))
        samples[start : start + rng.integers(800, 3_200)] = 0
    level = np.sqrt(np.mean(samples**2)) + 1e-6
    if rng.random() < 0.3:
        ratio_db = rng.uniform(5, 30)
        background = noise(len(samples), rng)
        scale = level / (np.sqrt(np.mean(background**2)) + 1e-9) * 10 ** (-ratio_db / 20)
        samples = samples + np.float32(scale) * background
    gain = 10 ** (rng.uniform(-12, 6) / 20)
    return np.clip(gain * samples, -1, 1).astype(np.float32)


def _without_bands(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take out one band, or all but the band of a telephone."""
    n = _quick_length(len(samples))
    spectrum = np.fft.rfft(samples, n)
    hz = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    if rng.random() < 0.2:
        spectrum[(hz < rng.uniform(100, 300)) | (hz > rng.uniform(3_200, 4_000))] = 0
    else:
        low = rng.uniform(0, 7_000)
        spectrum[(hz > low) & (hz < low * 1.1 + rng.uniform(50, 400))] = 0
    return np.fft.irfft(spectrum, n)[: len(samples)].astype(np.float32)


def _quick_length(n: int) -> int:
    """A length not much longer, of which a Fourier transform is quick."""
    return -(-n // 4_096) * 4_096


def noise(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Silence, or what a microphone hears when nobody speaks; float32 [n_samples]."""
    if rng.random() < 0.1:
        return np.zeros(n_samples, np.float32)
    kind = rng.random()
    if kind < 0.5:
        found = _hiss(n_samples, rng)
    elif kind < 0.7:
        found = _breaths(n_samples, rng)
    else:
        found = _notes(n_samples, rng) + rng.uniform(0, 0.1) * _hiss(n_samples, rng)
    if rng.random() < 0.3:
        _add_clicks(found, rng)
    level = 10 ** (rng.uniform(-75, -10) / 20)
    return np.clip(level * found, -1, 1).astype(np.float32)


def _noise_that_sets_in(rng: np.random.Generator) -> np.ndarray:
    """What a segmenter takes for the beginning of an utterance: a quiet room, then noise.

    It ends while the noise goes on, as what is recognised before an utterance is over.
    """
    quiet = _hiss(int(rng.uniform(0.2, 0.6) * SAMPLE_RATE), rng)
    quiet *= 10 ** (rng.uniform(-90, -55) / 20) / (np.std(quiet) + 1e-9)
    sound = noise(int(rng.uniform(0.1, 4) * SAMPLE_RATE), rng)
    return np.concatenate([quiet, sound]).astype(np.float32)


def _hiss(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Anything from white noise to a rumble steeper than pink, at times with a mains hum."""
    steepness = rng.uniform(0, 1.2)
    found = _shaped(n_samples, lambda hz: np.maximum(hz, 20) ** -steepness, rng)
    if rng.random() < 0.3:
        time_s = np.arange(n_samples) / SAMPLE_RATE
        mains_hz = rng.choice([50, 60, 100, 120]) * rng.uniform(0.99, 1.01)
        found += rng.uniform(0, 2) * np.sin(2 * np.pi * mains_hz * time_s)
    return found


def _breaths(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Rushes through a few wide resonances, that swell and fade: breath, wind, cloth, traffic."""
    found, at = np.zeros(n_samples), 0
    while at < n_samples:
        rush = found[at : at + int(rng.uniform(0.1, 2.5) * SAMPLE_RATE)]
        centres = rng.uniform(200, 6_000, rng.integers(1, 5))
        gain = functools.partial(
            _resonances, centres=centres, width=rng.uniform(100, 1_500), floor=rng.uniform(0, 0.3)
        )
        swell = np.hanning(len(rush)) ** rng.uniform(0.2, 2)
        rush += rng.uniform(0.2, 1) * swell * _shaped(len(rush), gain, rng)
        at += len(rush) + int(rng.exponential(0.4) * SAMPLE_RATE)
    return found


def _resonances(hz: np.ndarray, centres: np.ndarray, width: float, floor: float) -> np.ndarray:
    return floor + np.exp(-(((hz[:, None] - centres) / width) ** 2)).sum(1)


def _notes(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Sounds with a pitch, held or gliding, one or several at once: music, beeps, engines."""
    found, at = np.zeros(n_samples), 0
    longest_s, voices = rng.choice([0.2, 0.6, 2.0, 8.0]), rng.integers(1, 5)
    steepest = 4 if rng.random() > 0.5 else 0  # octaves a second
    overtones, dullness = rng.integers(1, 12), rng.uniform(0.5, 2.5)
    while at < n_samples:
        note = found[at : at + int(longest_s * rng.uniform(0.2, 1) * SAMPLE_RATE)]
        time_s = np.arange(len(note)) / SAMPLE_RATE
        envelope = np.minimum(time_s / rng.choice([0.005, 0.05]), 1) * np.exp(
            -time_s * rng.choice([0, 1, 4])
        )
        for _ in range(rng.integers(1, voices + 1)):
            octaves = 6.5 * rng.random() + rng.uniform(-steepest, steepest) * time_s
            hz = 60 * 2 ** np.abs(octaves)
            turns = np.cumsum(hz) / SAMPLE_RATE + rng.random()
            for k in range(1, overtones + 1):
                is_heard = hz * k < SAMPLE_RATE / 2
                note += is_heard * envelope * np.sin(2 * np.pi * k * turns) / k**dullness
        at += len(note) + (rng.random() < 0.5) * int(rng.exponential(0.2) * SAMPLE_RATE)
    return found / (np.std(found) + 1e-9)


def _add_clicks(sound: np.ndarray, rng: np.random.Generator) -> None:
    """Keys and switches, one or a row of them."""
    for start in rng.integers(len(sound), size=rng.integers(1, 2 + len(sound) // 4_000)):
        click = sound[start : start + rng.integers(20, 1_000)]
        shape = rng.standard_normal(len(click)) * np.hanning(len(click))
        click += rng.uniform(2, 20) * shape


def _shaped(
    n_samples: int, gain: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Noise with the given gain at each frequency in Hz, of mean power 1."""
    n = _quick_length(n_samples)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= gain(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)))
    found: np.ndarray = np.fft.irfft(spectrum, n)[:n_samples]
    return found / (np.sqrt(np.mean(found**2)) + 1e-9)


def collate(
    rows: Sequence[tuple[np.ndarray, str, np.ndarray | None]], length: int
) -> tuple[Arrays, Arrays]:
    """Pad rows to one batch of `length` samples."""
    n_rows, n_frames = len(rows), n_frames_of(length)
    waveforms = np.zeros((n_rows, length), np.float32)
    labels = np.zeros((n_rows, max_labels(length)), np.int32)
    teacher = np.zeros((n_rows, n_frames, N_LABELS), np.uint8)
    n_labels = np.zeros(n_rows, np.int32)
    taught = np.zeros(n_rows, np.float32)
    for i, (samples, transcript, posteriors) in enumerate(rows):
        waveforms[i, : len(samples)] = samples
        indices = labels_of(transcript)[: labels.shape[1]]
        labels[i, : len(indices)] = indices
        n_labels[i] = len(indices)
        if posteriors is not None:
            teacher[i, : len(posteriors)] = posteriors
            taught[i] = 1
    valid = np.array([len(samples) for samples, _, _ in rows], np.int32)
    return (
        {"waveforms": waveforms, "valid": valid},
        {"labels": labels, "n_labels": n_labels, "teacher": teacher, "taught": taught},
    )


def max_labels(length: int) -> int:
    """Room for labels in a batch of this length: faster than anybody speaks."""
    return max(8, length * 28 // SAMPLE_RATE)


def ahead(batches: Iterator[tuple[Arrays, Arrays]]) -> Iterator[tuple[Arrays, Arrays]]:
    """Make batches in a thread of their own, a few ahead of the training, until closed."""
    ready: queue.Queue[tuple[Arrays, Arrays] | BaseException] = queue.Queue(maxsize=4)
    closed = threading.Event()

    def work() -> None:
        try:
            for batch in batches:
                ready.put(batch)
                if closed.is_set():
                    return
        except BaseException as error:  # Raised again where the batches are used.
            ready.put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            batch = ready.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        closed.set()
        while thread.is_alive():  # It may wait for room: make some until it has seen the end.
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.1)
