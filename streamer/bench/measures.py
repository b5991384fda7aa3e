"""What is reported of recordings, computed from the events that they gave."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from rapidfuzz.distance import Levenshtein

from streamer.bench.manifest import Recording
from streamer.decoder import DecodedWord
from streamer.events import Closed, Event, Final, Partial
from streamer.settings import Settings, to_samples, to_seconds


@dataclass(slots=True)
class Outcome:
    """What came of one recording: every event with the moment in which it came."""

    recording: Recording
    duration_s: float
    onset_s: float | None = None  # where speech begins and ends in truth, if that is known
    end_s: float | None = None
    whole: list[DecodedWord] = field(default_factory=list)  # recognised in one piece
    events: list[tuple[float, Event]] = field(default_factory=list)
    n_pushed: int = 0  # samples, the silence behind the recording included
    live_s: float = 0.0  # processing time with partials
    finals_s: float = 0.0  # processing time without
    cpu_share: float | None = None  # processor time over wall time

    @property
    def finals(self) -> list[tuple[float, Final]]:
        """The finals that have words."""
        return [(at, e) for at, e in self.events if isinstance(e, Final) and e.text]

    @property
    def text(self) -> str:
        """All that was recognised, normalised."""
        return normalise(" ".join(final.text for _, final in self.finals))

    @property
    def utterances(self) -> list[list[tuple[float, Partial | Final]]]:
        """The partials and the final of each utterance."""
        utterances: dict[int, list[tuple[float, Partial | Final]]] = {}
        for at, event in self.events:
            if isinstance(event, Partial | Final):
                utterances.setdefault(event.utterance, []).append((at, event))
        return list(utterances.values())

    @property
    def n_lost(self) -> int:
        """Samples that were pushed and are neither in an utterance nor in the silence between."""
        ends = [e.statistics for _, e in self.events if isinstance(e, Closed)]
        return self.n_pushed - sum(to_samples(s.recognised_s + s.silence_s) for s in ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is reported of a number of recordings; None where there is nothing to say.

    Rates are fractions, `_p50` medians, `_p95` 95th percentiles.

    Attributes:
        wer, cer: Edit distance over reference length, in words and in characters, after both were
            turned to upper case and all but letters, digits and apostrophes to spaces.
        wer_whole: The same of each recording in one piece, without VAD and endpoints; see
            `streamer.bench.truth.decode_whole`.
        rtf: Processing time of finals over audio time. rtf_live: with partials.
        cpu_share: Processor time over wall time while a recording is fed at the speed of speech; 1
            is one core.
        first_partial_s: From the onset of speech to the first text, in recordings of which
            `streamer.bench.truth.speech_span` knows it.
        word_shown_s, word_stable_s: From the end of a word, as the whole recording decodes, to
            when it was first displayed, and to when it was stable: in the stable text or in the
            final. Of the words that both recognise.
        final_s: From the true end of speech to the last final, in the recordings of
            `first_partial_s`.
        after_endpoint_s: From the decision that an utterance is over to its final.
        flicker: Displayed words that were changed or taken back, over displayed words.
        revisions_per_s: Updates that changed a displayed word, over seconds of utterances.
        stable_revisions: Words that had been called stable and are not in their place in the final.
        lost: Samples that were heard and are in no utterance and in no silence between.
    """

    recordings: int
    audio_s: float
    words: int
    wer: float
    wer_whole: float
    cer: float
    rtf: float | None
    rtf_live: float | None
    cpu_share: float | None
    first_partial_s_p50: float | None
    first_partial_s_p95: float | None
    word_shown_s_p50: float | None
    word_shown_s_p95: float | None
    word_stable_s_p50: float | None
    word_stable_s_p95: float | None
    final_s_p50: float | None
    final_s_p95: float | None
    after_endpoint_s_p50: float | None
    after_endpoint_s_p95: float | None
    flicker: float | None
    revisions_per_s: float | None
    stable_revisions: int | None
    lost: int


def measures_of(outcomes: Sequence[Outcome], settings: Settings, *, realtime: bool) -> Measures:
    """Put the outcomes of several recordings together.

    Args:
        outcomes: One at least.
        settings: What they were recognised with.
        realtime: Whether the moments of the events are those of the wall clock.
    """
    audio_s = sum(outcome.duration_s for outcome in outcomes)
    references = [normalise(outcome.recording.transcript) for outcome in outcomes]
    texts = [outcome.text for outcome in outcomes]
    wholes = [normalise(" ".join(word.text for word in outcome.whole)) for outcome in outcomes]
    first_partials, finals = [], []
    for outcome in outcomes:
        text_at = [at for at, e in outcome.events if isinstance(e, Partial | Final) and e.text]
        if outcome.onset_s is not None and outcome.end_s is not None:
            first_partials += [at - outcome.onset_s for at in text_at[:1]]
            finals += [at - outcome.end_s for at, _ in outcome.finals[-1:]]
    after_endpoint = [s for o in outcomes for s in _after_endpoint(o, settings)] if realtime else []
    delays = [delay for outcome in outcomes for delay in word_delays(outcome)]
    shown_s, stable_s = [shown for shown, _ in delays], [stable for _, stable in delays]
    utterances = [[event for _, event in u] for o in outcomes for u in o.utterances]
    counts = [flicker([event.text.split() for event in utterance]) for utterance in utterances]
    utterance_s = sum(u[-1].end_s - u[-1].start_s for u in utterances)
    has_partials = settings.partials and any(n_shown for n_shown, _, _ in counts)
    cpu_shares = [o.cpu_share * o.duration_s for o in outcomes if o.cpu_share is not None]
    return Measures(
        recordings=len(outcomes),
        audio_s=audio_s,
        words=sum(len(reference.split()) for reference in references),
        wer=_error_rate([r.split() for r in references], [t.split() for t in texts]),
        wer_whole=_error_rate([r.split() for r in references], [t.split() for t in wholes]),
        cer=_error_rate(references, texts),
        rtf=None if realtime else sum(o.finals_s for o in outcomes) / audio_s,
        rtf_live=None if realtime else sum(o.live_s for o in outcomes) / audio_s,
        cpu_share=sum(cpu_shares) / audio_s if cpu_shares else None,
        first_partial_s_p50=_percentile(first_partials, 50) if has_partials else None,
        first_partial_s_p95=_percentile(first_partials, 95) if has_partials else None,
        word_shown_s_p50=_percentile(shown_s, 50),
        word_shown_s_p95=_percentile(shown_s, 95),
        word_stable_s_p50=_percentile(stable_s, 50),
        word_stable_s_p95=_percentile(stable_s, 95),
        final_s_p50=_percentile(finals, 50),
        final_s_p95=_percentile(finals, 95),
        after_endpoint_s_p50=_percentile(after_endpoint, 50),
        after_endpoint_s_p95=_percentile(after_endpoint, 95),
        flicker=sum(c[1] for c in counts) / sum(c[0] for c in counts) if has_partials else None,
        revisions_per_s=sum(c[2] for c in counts) / utterance_s if has_partials else None,
        stable_revisions=sum(map(stable_revisions, utterances)) if has_partials else None,
        lost=sum(outcome.n_lost for outcome in outcomes),
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


def stable_revisions(utterance: Sequence[Partial | Final]) -> int:
    """How many words had been called stable and are not in their place in the final."""
    stable = [event.stable_text.split() for event in utterance if isinstance(event, Partial)]
    if not stable:
        return 0
    final = utterance[-1].text.split()
    return len(stable[-1]) - sum(a == b for a, b in zip(stable[-1], final, strict=False))


def word_delays(outcome: Outcome) -> Iterator[tuple[float, float]]:
    """When each word was first displayed and when it was stable, in seconds after its end.

    The words are those of the finals, as far as the recording in one piece has them too: that says
    where they end, at the best the model knows.
    """
    spoken = [(w, to_seconds(word.stop)) for word in outcome.whole for w in _words(word.text)]
    utterances = [utterance for utterance in outcome.utterances if utterance[-1][1].text]
    finals = [_words(utterance[-1][1].text) for utterance in utterances]
    in_finals = [word for final in finals for word in final]
    ends_s = {i: spoken[j][1] for i, j in _matches(in_finals, [word for word, _ in spoken])}
    first = 0
    for utterance, final in zip(utterances, finals, strict=True):
        shown_at: dict[int, float] = {}
        stable_at: dict[int, float] = {}
        for at, event in utterance:
            stable = event.stable_text if isinstance(event, Partial) else event.text
            for i, _ in _matches(final, _words(event.text)):
                shown_at.setdefault(i, at)
            for i, _ in _matches(final, _words(stable)):
                stable_at.setdefault(i, at)
        for i in shown_at:
            if (end_s := ends_s.get(first + i)) is not None:
                yield shown_at[i] - end_s, stable_at[i] - end_s
        first += len(final)


def _words(text: str) -> list[str]:
    return normalise(text).split()


def _matches(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The indices of equal words where one sequence is edited into the other."""
    for block in Levenshtein.opcodes(a, b).as_matching_blocks():
        for i in range(block.size):
            yield block.a + i, block.b + i


def _error_rate(references: Iterable[Sequence[str]], found: Iterable[Sequence[str]]) -> float:
    edits = length = 0
    for reference, text in zip(references, found, strict=True):
        edits += Levenshtein.distance(reference, text)
        length += len(reference)
    return edits / max(1, length)


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


def _percentile(values: list[float], percent: int) -> float | None:
    if not values:
        return None
    if percent == 50:
        return statistics.median(values)
    return float(np.percentile(values, percent))
