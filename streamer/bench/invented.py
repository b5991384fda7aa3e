"""Words that come out of sounds without any."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tqdm import tqdm

from streamer.bench.measures import flicker
from streamer.bench.noises import KINDS, passages
from streamer.events import Event, Final, Partial
from streamer.pipeline import Pipeline
from streamer.recogniser import Model
from streamer.settings import Settings, to_samples, to_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Invented:
    """What one kind of sound gave.

    Attributes:
        audio_s: How much was heard.
        utterances: How often it was taken for speech.
        taken_s: For how long, pre-roll and trailing pad included.
        words: Words that were ever displayed, in partials and finals: each is one too many.
        words_per_hour: The same an hour of sound.
        rtf: Processing time over audio time.
    """

    audio_s: float
    utterances: int
    taken_s: float
    words: int
    words_per_hour: float
    rtf: float


def measure_noise(
    model: Model, settings: Settings, minutes: float, kinds: Iterable[str] = KINDS
) -> dict[str, Invented]:
    """Listen to `minutes` of each kind of sound by the audio clock, and count the words."""
    return {
        kind: _listen(kind, model, settings, max(1, to_samples(minutes * 60)))
        for kind in tqdm(
            list(kinds), unit="kind of noise", leave=False, disable=not sys.stderr.isatty()
        )
    }


def _listen(kind: str, model: Model, settings: Settings, n_samples: int) -> Invented:
    pipeline = Pipeline(model, settings)
    counts = _Counts()
    n_heard = 0
    began = time.perf_counter()
    for _, passage in passages(kind):
        counts.add(pipeline.push(passage[: n_samples - n_heard]))
        n_heard += min(len(passage), n_samples - n_heard)
        if n_heard == n_samples:
            break
    counts.add(pipeline.flush())
    audio_s = to_seconds(n_heard)
    return Invented(
        audio_s=audio_s,
        utterances=counts.utterances,
        taken_s=counts.taken_s,
        words=counts.words,
        words_per_hour=counts.words * 3600 / audio_s,
        rtf=(time.perf_counter() - began) / audio_s,
    )


class _Counts:
    """Counts utterances and displayed words as the events come, so that hours need no memory."""

    def __init__(self) -> None:
        self.utterances = 0
        self.words = 0
        self.taken_s = 0.0
        self._shown: list[list[str]] = []  # in the utterance that is not yet final

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Partial | Final):
                self._shown.append(event.text.split())
            if isinstance(event, Final):
                self.utterances += 1
                self.taken_s += event.end_s - event.start_s
                self.words += flicker(self._shown)[0]
                self._shown = []
