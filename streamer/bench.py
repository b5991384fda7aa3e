"""How good and how fast: words, latency, flicker and speed over recordings with transcripts.

By the audio clock (the default) the machine counts as infinitely fast, and latency is what the
method costs: waiting for silence, for the next partial. By the wall clock (`realtime`) recordings
are fed at the speed of speech, and latency is what somebody on this machine would see.
"""

from __future__ import annotations

import contextlib
import csv
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

from streamer.audio import Samples, level_db
from streamer.config import SAMPLE_RATE, Settings, to_samples, to_seconds
from streamer.errors import AudioError
from streamer.events import Event, Final, Partial
from streamer.pipeline import Pipeline
from streamer.sources.file import File
from streamer.transcriber import Transcriber

if TYPE_CHECKING:
    from streamer.models.compiled import CompiledModel

# Speech is where a recording comes within so many decibels of its loudest 10 ms: the truth that
# latency is measured against, and independent of the VAD.
SPEECH_WITHIN_DB = 35.0
ABOVE_NOISE_DB = 10.0
LEVEL_FRAME = 160
SILENCE_DB = -80.0  # what is appended to a recording, so that its end is an endpoint
AFTER_ENDPOINT_S = 0.5


@dataclass(frozen=True, slots=True)
class Recording:
    """A row of the manifest."""

    subset: str
    transcript: str
    path: Path


@dataclass(slots=True)
class Outcome:
    """What came of one recording: every event with the moment in which it came."""

    recording: Recording
    duration_s: float
    onset_s: float | None  # where speech begins and ends in truth, if the level tells
    end_s: float | None
    events: list[tuple[float, Event]] = field(default_factory=list)
    live_s: float = 0.0  # processing time with partials
    finals_s: float = 0.0  # processing time without

    @property
    def finals(self) -> list[tuple[float, Final]]:
        """The finals that have words."""
        return [(at, e) for at, e in self.events if isinstance(e, Final) and e.text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is reported of a number of recordings; None where there is nothing to say.

    Rates are fractions, `_p50` medians, `_p95` 95th percentiles.

    Attributes:
        wer, cer: Edit distance over reference length, in words and in characters, after both were
            turned to upper case and all but letters, digits and apostrophes to spaces.
        rtf: Processing time of finals over audio time. rtf_live: with partials.
        first_partial_s: From the onset of speech to the first text, in recordings in which the
            level tells where speech is.
        final_s: From the true end of speech to the last final, in the same recordings.
        after_endpoint_s: From the decision that an utterance is over to its final.
        flicker: Displayed words that were changed or taken back, over displayed words.
        revisions_per_s: Updates that changed a displayed word, over seconds of utterances.
        stable_revisions: Utterances whose final differs from text that had been called stable.
    """

    recordings: int
    audio_s: float
    words: int
    wer: float
    cer: float
    rtf: float | None
    rtf_live: float | None
    first_partial_s_p50: float | None
    first_partial_s_p95: float | None
    final_s_p50: float | None
    final_s_p95: float | None
    after_endpoint_s_p50: float | None
    after_endpoint_s_p95: float | None
    flicker: float | None
    revisions_per_s: float | None
    stable_revisions: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The measures of every subset and of all together."""

    model: str
    clock: str
    peak_memory_mb: float | None
    measures: dict[str, Measures]

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        return asdict(self)

    def table(self) -> str:
        """Everything as a table, one column a subset."""
        names = list(self.measures)
        width = max(12, *(len(name) + 2 for name in names))
        lines = [" " * 34 + "".join(name.rjust(width) for name in names)]
        for key, label, form in _ROWS:
            cells = [getattr(self.measures[name], key) for name in names]
            if any(cell is not None for cell in cells):
                shown = ["-" if cell is None else form(cell) for cell in cells]
                lines.append(label.ljust(34) + "".join(cell.rjust(width) for cell in shown))
        lines.append(f"\nmodel {self.model}, latency by the {self.clock} clock")
        if self.peak_memory_mb is not None:
            lines.append(f"peak memory {self.peak_memory_mb:.0f} MB")
        return "\n".join(lines)


def read_manifest(
    folder: Path, *, subset: str | None = None, limit: int | None = None
) -> list[Recording]:
    """The recordings that a folder's `manifest.tsv` names; no sound is read yet.

    Args:
        folder: Where the manifest is. Its columns are separated by tabs; `path` (relative to the
            folder) and `transcript` are needed, `subset` groups the results.
        subset: Only these rows.
        limit: Only so many of the first.

    Raises:
        AudioError: There is no such manifest, or nothing in it.
    """
    path = folder / "manifest.tsv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise AudioError(
            "Expected a folder with a manifest.tsv (columns path and transcript), found none: "
            f"{path}: {error.strerror}."
        ) from error
    if not rows or not {"path", "transcript"} <= set(rows[0]):
        raise AudioError(f"{path}: expected columns path and transcript, and a row at least.")
    for number, row in enumerate(rows, start=2):
        if row["path"] is None or row["transcript"] is None:
            raise AudioError(f"{path}: expected a path and a transcript in line {number}.")
    recordings = [
        Recording(row.get("subset") or "all", row["transcript"], folder / row["path"])
        for row in rows
    ]
    recordings = [one for one in recordings if subset in (None, one.subset)][:limit]
    if not recordings:
        raise AudioError(f"{path}: expected recordings of the subset {subset!r}, found none.")
    return recordings


def measure(
    recordings: Sequence[Recording],
    *,
    model: CompiledModel,
    settings: Settings,
    realtime: bool = False,
) -> Results:
    """Transcribe every recording and compare.

    Raises:
        AudioError: A recording cannot be read.
    """
    model.warm_up()  # Compiling is start-up, not speed.
    outcomes = []
    run = _by_wall_clock if realtime else _by_audio_clock
    for recording in tqdm(
        recordings, unit="recording", leave=False, disable=not sys.stderr.isatty()
    ):
        samples = _read(recording.path)
        onset_s, end_s = speech_span(samples) or (None, None)
        outcome = Outcome(recording, to_seconds(len(samples)), onset_s, end_s)
        run(outcome, _with_silence(samples, settings), model, settings)
        outcomes.append(outcome)
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.recording.subset, []).append(outcome)
    if len(groups) > 1:
        groups["all"] = outcomes
    return Results(
        model=model.name,
        clock="wall" if realtime else "audio",
        peak_memory_mb=_peak_memory_mb(),
        measures={name: _measures(group, settings, realtime) for name, group in groups.items()},
    )


def normalise(text: str) -> str:
    """Upper case, and nothing but letters, digits, apostrophes and single spaces."""
    return " ".join(re.sub(r"[^\w']|_", " ", text.upper()).split())


def flicker(shown: Sequence[Sequence[str]]) -> tuple[int, int, int]:
    """Count what changed while one utterance was displayed.

    Args:
        shown: The words on display after each update.

    Returns:
        Words that were displayed, words of them that were changed or taken back later, and updates
        that did so.
    """
    n_shown = n_changed = n_revisions = 0
    before: Sequence[str] = ()
    for words in shown:
        same = [old == new for old, new in zip(before, words, strict=False)]
        changed = len(before) - sum(same)
        n_changed += changed
        n_revisions += changed > 0
        n_shown += len(words) - sum(same)
        before = words
    return n_shown, n_changed, n_revisions


def speech_span(samples: Samples) -> tuple[float, float] | None:
    """When speech begins and ends in a recording, in seconds, by its level alone.

    Speech is where it comes within `SPEECH_WITHIN_DB` of the loudest and is `ABOVE_NOISE_DB` louder
    than the quietest tenth. None where that tells nothing: the recording is too short or noisy, or
    speech reaches to its very end.
    """
    n_frames = len(samples) // LEVEL_FRAME
    if n_frames < 10:
        return None
    frames = samples[: n_frames * LEVEL_FRAME].reshape(n_frames, LEVEL_FRAME)
    levels = np.array([level_db(frame) for frame in frames])
    threshold = max(levels.max() - SPEECH_WITHIN_DB, np.percentile(levels, 10) + ABOVE_NOISE_DB)
    if threshold > levels.max() - ABOVE_NOISE_DB:
        return None
    loud = np.flatnonzero(levels > threshold)
    if loud[-1] == n_frames - 1:
        return None
    return to_seconds(int(loud[0]) * LEVEL_FRAME), to_seconds((int(loud[-1]) + 1) * LEVEL_FRAME)


def _read(path: Path) -> Samples:
    source = File(path)
    source.open()
    with contextlib.closing(source):
        return np.concatenate([block.samples for block in iter(source.read, None)])


def _with_silence(samples: Samples, settings: Settings) -> Samples:
    """A recording, and behind it enough near-silence for its end to be an endpoint."""
    n_silent = to_samples(settings.end_silence_s + AFTER_ENDPOINT_S)
    noise = np.random.default_rng(0).standard_normal(n_silent) * 10 ** (SILENCE_DB / 20)
    return np.concatenate([samples, noise.astype(np.float32)])


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
    outcome: Outcome, samples: Samples, model: CompiledModel, settings: Settings
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
        source = File(path, realtime=True)
        with Transcriber(source, model=model, settings=settings) as transcriber:
            for event in transcriber:
                outcome.events.append((time.monotonic() - source.opened_at, event))


def _measures(outcomes: list[Outcome], settings: Settings, realtime: bool) -> Measures:
    audio_s = sum(outcome.duration_s for outcome in outcomes)
    words, characters = [0, 0], [0, 0]  # [edits, length of the reference]
    for outcome in outcomes:
        reference = normalise(outcome.recording.transcript)
        found = normalise(" ".join(final.text for _, final in outcome.finals))
        words[0] += Levenshtein.distance(reference.split(), found.split())
        words[1] += len(reference.split())
        characters[0] += Levenshtein.distance(reference, found)
        characters[1] += len(reference)
    first_partials, finals = [], []
    for outcome in outcomes:
        text_at = [at for at, e in outcome.events if isinstance(e, Partial | Final) and e.text]
        if outcome.onset_s is not None and outcome.end_s is not None:
            first_partials += [at - outcome.onset_s for at in text_at[:1]]
            finals += [at - outcome.end_s for at, _ in outcome.finals[-1:]]
    after_endpoint = [s for o in outcomes for s in _after_endpoint(o, settings)] if realtime else []
    shown = [_shown(utterance) for o in outcomes for utterance in _utterances(o)]
    counts = [flicker(words) for words in shown]
    utterance_s = sum(
        e.end_s - e.start_s for o in outcomes for _, e in o.events if isinstance(e, Final)
    )
    has_partials = settings.partials and any(n_shown for n_shown, _, _ in counts)
    return Measures(
        recordings=len(outcomes),
        audio_s=audio_s,
        words=words[1],
        wer=words[0] / max(1, words[1]),
        cer=characters[0] / max(1, characters[1]),
        rtf=None if realtime else sum(o.finals_s for o in outcomes) / audio_s,
        rtf_live=None if realtime else sum(o.live_s for o in outcomes) / audio_s,
        first_partial_s_p50=_percentile(first_partials, 50) if has_partials else None,
        first_partial_s_p95=_percentile(first_partials, 95) if has_partials else None,
        final_s_p50=_percentile(finals, 50),
        final_s_p95=_percentile(finals, 95),
        after_endpoint_s_p50=_percentile(after_endpoint, 50),
        after_endpoint_s_p95=_percentile(after_endpoint, 95),
        flicker=sum(c[1] for c in counts) / sum(c[0] for c in counts) if has_partials else None,
        revisions_per_s=sum(c[2] for c in counts) / utterance_s if has_partials else None,
        stable_revisions=(
            sum(_revises_stable(u) for o in outcomes for u in _utterances(o))
            if has_partials
            else None
        ),
    )


def _after_endpoint(outcome: Outcome, settings: Settings) -> Iterator[float]:
    """Seconds from each endpoint to its final.

    Not of pieces of long speech, which end where the next begins and without an endpoint, and not
    where the sound ended first.
    """
    finals = [(at, e) for at, e in outcome.events if isinstance(e, Final)]
    begin_s = {final.start_s for _, final in finals}
    shortest_piece_s = settings.longest_piece_s - settings.cut_window_s
    for at, final in finals:
        endpoint_s = final.end_s - settings.trailing_pad_s + settings.end_silence_s
        is_piece = final.end_s in begin_s and final.end_s - final.start_s >= shortest_piece_s
        if not is_piece and endpoint_s < outcome.duration_s + settings.end_silence_s:
            yield at - endpoint_s


def _utterances(outcome: Outcome) -> Iterable[list[Partial | Final]]:
    """The partials and the final of each utterance."""
    utterances: dict[int, list[Partial | Final]] = {}
    for _, event in outcome.events:
        if isinstance(event, Partial | Final):
            utterances.setdefault(event.utterance, []).append(event)
    return utterances.values()


def _shown(utterance: list[Partial | Final]) -> list[list[str]]:
    return [event.text.split() for event in utterance]


def _revises_stable(utterance: list[Partial | Final]) -> bool:
    stable = [event.stable_text.split() for event in utterance if isinstance(event, Partial)]
    return bool(stable) and utterance[-1].text.split()[: len(stable[-1])] != stable[-1]


def _percentile(values: list[float], percent: int) -> float | None:
    if not values:
        return None
    if percent == 50:
        return statistics.median(values)
    return float(np.percentile(values, percent))


def _peak_memory_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _seconds(value: float) -> str:
    return f"{value:.3f} s"


_ROWS = (
    ("recordings", "recordings", str),
    ("audio_s", "sound", lambda value: f"{value / 60:.1f} min"),
    ("words", "words in the reference", str),
    ("wer", "WER", _percent),
    ("cer", "CER", _percent),
    ("rtf", "RTF, finals only", lambda value: f"{value:.4f}"),
    ("rtf_live", "RTF, with partials", lambda value: f"{value:.4f}"),
    ("first_partial_s_p50", "first partial after onset, median", _seconds),
    ("first_partial_s_p95", "  95th percentile", _seconds),
    ("final_s_p50", "final after end of speech, median", _seconds),
    ("final_s_p95", "  95th percentile", _seconds),
    ("after_endpoint_s_p50", "final after endpoint, median", _seconds),
    ("after_endpoint_s_p95", "  95th percentile", _seconds),
    ("flicker", "flicker", _percent),
    ("revisions_per_s", "revisions a second", lambda value: f"{value:.2f}"),
    ("stable_revisions", "finals that correct stable text", str),
)
