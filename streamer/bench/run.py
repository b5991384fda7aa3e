"""Runs recordings through the pipeline or the transcriber and keeps what came of them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from tqdm import tqdm

from streamer.audio import Samples
from streamer.bench.invented import measure_noise
from streamer.bench.manifest import Recording
from streamer.bench.measures import Outcome, measures_of
from streamer.bench.results import Results
from streamer.bench.truth import decode_whole, speech_span
from streamer.events import Event
from streamer.pipeline import Pipeline
from streamer.settings import SAMPLE_RATE, Settings, to_samples, to_seconds
from streamer.sources.file import File
from streamer.transcriber import Transcriber

if TYPE_CHECKING:
    from streamer.models.compiled import CompiledModel

SILENCE_DB = -80.0  # what is appended to a recording, so that its end is an endpoint
AFTER_ENDPOINT_S = 0.5
IDLE_S = 10.0  # Silence that is listened to, to see what it costs.


def measure(
    recordings: Sequence[Recording],
    *,
    model: CompiledModel,
    settings: Settings,
    realtime: bool = False,
    noise_minutes: float = 0.0,
) -> Results:
    """Transcribe every recording and compare.

    Args:
        recordings: One at least.
        model: Which is warmed up first: compiling is start-up, not speed.
        settings: How speech is found and recognised.
        realtime: Feed the recordings at the speed of speech.
        noise_minutes: So much of each sound without words is listened to, too.

    Raises:
        AudioError: A recording cannot be read.
    """
    model.warm_up()
    outcomes = []
    for recording in tqdm(
        recordings, unit="recording", leave=False, disable=not sys.stderr.isatty()
    ):
        sound = recording.read()
        outcome = Outcome(recording, to_seconds(len(sound)))
        outcome.whole = decode_whole(sound, model, settings)
        outcome.onset_s, outcome.end_s = speech_span(sound, outcome.whole) or (None, None)
        samples = np.concatenate([sound, silence(settings.end_silence_s + AFTER_ENDPOINT_S)])
        outcome.n_pushed = len(samples)
        if realtime:
            outcome.events, outcome.cpu_share = _by_wall_clock(samples, model, settings)
        else:
            _by_audio_clock(outcome, samples, model, settings)
        outcomes.append(outcome)
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.recording.subset, []).append(outcome)
    if len(groups) > 1:
        groups["all"] = outcomes
    return Results(
        model=model.name,
        clock="wall" if realtime else "audio",
        idle_cpu_share=_by_wall_clock(silence(IDLE_S), model, settings)[1] if realtime else None,
        measures={
            name: measures_of(group, settings, realtime=realtime) for name, group in groups.items()
        },
        invented=measure_noise(model, settings, noise_minutes) if noise_minutes else {},
    )


def silence(duration_s: float) -> Samples:
    """As quiet as it gets in front of a microphone."""
    noise = np.random.default_rng(0).standard_normal(to_samples(duration_s))
    return (noise * 10 ** (SILENCE_DB / 20)).astype(np.float32)


def _by_audio_clock(
    outcome: Outcome, samples: Samples, model: CompiledModel, settings: Settings
) -> None:
    pipeline = Pipeline(model, settings)
    block = SAMPLE_RATE * settings.vad_frame_ms // 1000
    began = time.perf_counter()
    for start in range(0, len(samples), block):
        stop = min(start + block, len(samples))
        for event in pipeline.push(samples[start:stop]):
            outcome.events.append((to_seconds(stop), event))
    now_s = to_seconds(len(samples))
    outcome.events += [(now_s, event) for event in pipeline.flush()]
    outcome.live_s = time.perf_counter() - began

    if not settings.partials:
        outcome.finals_s = outcome.live_s
        return
    without_partials = Pipeline(model, replace(settings, partials=False))
    began = time.perf_counter()
    without_partials.push(samples)
    without_partials.flush()
    outcome.finals_s = time.perf_counter() - began


def _by_wall_clock(
    samples: Samples, model: CompiledModel, settings: Settings
) -> tuple[list[tuple[float, Event]], float]:
    """Feed samples at the speed of speech.

    Returns:
        The events with the moment in which each came, in seconds after the sound began, and the
        share of a core that it took.
    """
    events = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
        source = File(path, realtime=True)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        with Transcriber(source, model=model, settings=settings) as transcriber:
            for event in transcriber:
                events.append((time.monotonic() - source.opened_at, event))
        cpu_s = time.process_time() - began_cpu_s
        return events, cpu_s / (time.perf_counter() - began_s)
