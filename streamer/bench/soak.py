"""Hours of speech and silence in one stream, to see whether memory grows."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from streamer.audio import Samples
from streamer.bench.manifest import Recording
from streamer.bench.memory import memory_mb
from streamer.bench.run import silence
from streamer.pipeline import Pipeline
from streamer.settings import SAMPLE_RATE, Settings, to_samples

if TYPE_CHECKING:
    from streamer.models.compiled import CompiledModel

SETTLED_S = 600.0  # By then every length was used once, and every buffer is as long as it gets.
LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What a long stream left behind.

    Attributes:
        audio_s: Its length, silence included.
        memory_mb: Resident memory, by the seconds of sound that had been heard: after ten minutes
            and then after every hour and at the end.
        lost: Samples that were pushed and are in no utterance and in no silence between.
    """

    model: str
    audio_s: float
    utterances: int
    words: int
    lost: int
    memory_mb: dict[float, float | None]

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        return asdict(self)

    def table(self) -> str:
        """Everything as lines of text."""
        lines = [
            f"{self.audio_s / 3600:.2f} hours by the audio clock: {self.utterances} utterances, "
            f"{self.words} words, {self.lost} samples lost",
            *(
                f"memory after {at_s / 3600:5.2f} h    {megabytes:.1f} MB"
                for at_s, megabytes in self.memory_mb.items()
                if megabytes is not None
            ),
            f"\nmodel {self.model}",
        ]
        return "\n".join(lines)


def soak(
    recordings: Sequence[Recording], *, model: CompiledModel, settings: Settings, hours: float
) -> Soak:
    """Push recordings into one stream, again and again, each with silence behind it.

    Raises:
        AudioError: A recording cannot be read.
    """
    model.warm_up()
    pipeline = Pipeline(model, settings)
    n_samples = to_samples(hours * 3600)
    n_pushed = 0
    memory: dict[float, float | None] = {}
    marks = itertools.chain([SETTLED_S], itertools.count(3600.0, 3600.0))
    mark_s = next(marks)
    with tqdm(total=round(hours * 3600), unit="s", disable=not sys.stderr.isatty()) as progress:
        for block in _seconds_of(recordings):
            if n_pushed >= n_samples:
                break
            pipeline.push(block)
            n_pushed += len(block)
            progress.update(1)
            if n_pushed >= to_samples(mark_s):
                memory[mark_s] = memory_mb()
                mark_s = next(marks)
    memory[n_pushed / SAMPLE_RATE] = memory_mb()
    pipeline.flush()
    statistics = pipeline.statistics()
    return Soak(
        model=model.name,
        audio_s=n_pushed / SAMPLE_RATE,
        utterances=statistics.utterances,
        words=statistics.words,
        lost=n_pushed - to_samples(statistics.recognised_s + statistics.silence_s),
        memory_mb=memory,
    )


def _seconds_of(recordings: Sequence[Recording]) -> Iterator[Samples]:
    """Speech and silence in turn, without end, a second at a time."""
    rest = np.zeros(0, np.float32)
    for recording in itertools.cycle(recordings):
        sound = recording.read()
        pause_s = min(len(sound) / SAMPLE_RATE, LONGEST_PAUSE_S)
        rest = np.concatenate([rest, sound, silence(pause_s)])
        n_whole = len(rest) // SAMPLE_RATE * SAMPLE_RATE
        yield from rest[:n_whole].reshape(-1, SAMPLE_RATE)
        rest = rest[n_whole:]
