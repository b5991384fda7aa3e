"""The recognising side: utterances in, events out, the most valuable work first.

There is no queue of jobs. Whenever the model is free, it is given the best there is to do at that
moment: a final, else a speculative final, else a partial of the newest sound. So partials coalesce
by themselves under load, and finals are never skipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from statistics import median
from typing import Protocol

from streamer.audio import Samples
from streamer.beam_search import search_for
from streamer.decoder import DecodedWord, FrameGrid, Heard, decode, longest_gap, spoken
from streamer.events import (
    AudioDropped,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Lagging,
    Partial,
    SpeechStarted,
    Statistics,
    Word,
)
from streamer.listener import Gap, Listener
from streamer.models.labels import Labels
from streamer.segmenter import Segment
from streamer.settings import BEHIND_S, CAUGHT_UP_S, NoiseGate, Settings, to_samples, to_seconds
from streamer.stabiliser import Stabiliser

N_SPEEDS = 5
# Half the usual silence: a partial that has just begun when the speaker pauses, and the final after
# it, are to be done when it ends.
LONGEST_CALL_S = 0.25
LEAST_WINDOW = 0.4  # of the usual window: with less, rather a late final than a wrong one


class Model(Protocol):
    """What the recogniser asks of a model; `streamer.models.compiled.CompiledModel` is one.

    Attributes:
        name: Reported in every final.
        labels: What the columns of its log-probabilities stand for.
        grid: Where its frames are in the sound.
        longest: How many samples it takes at most.
        stable_lag_s: How long before the newest sound a word must have ended to be stable, where
            `Settings` do not say. The more a model guesses from what is around a word, the longer.
        noise_gate: How sure it must be of words, or they were noise, where `Settings` do not say.
        needs_context: Whether a final is better decoded with all that was said in its utterance.
    """

    name: str
    labels: Labels
    grid: FrameGrid
    longest: int
    stable_lag_s: float
    noise_gate: NoiseGate
    needs_context: bool

    def hear(self, utterance: Samples) -> Heard:
        """What it makes of raw samples [n_samples], n_samples <= longest."""
        ...

    def is_ready(self, n_samples: int) -> bool:
        """Whether a call with so many samples would not wait for the warm-up."""
        ...

    def warm_up(self, keep_going: Callable[[int, int], bool]) -> None:
        """Do in advance what makes the first calls slow; `keep_going(n_done, n_all)` may end it."""
        ...


class WorkKind(Enum):
    """Why a span is decoded."""

    FINAL = "final"  # The utterance is over.
    CUT = "cut"  # It goes on beyond the longest piece: find the pause to cut it at.
    SPECULATIVE = "speculative"  # It is over, if the silence goes on.
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Work:
    """One span to decode: the samples [start, stop), copied."""

    kind: WorkKind
    start: int
    stop: int
    samples: Samples

    @property
    def duration_s(self) -> float:
        """How much sound it is."""
        return to_seconds(self.stop - self.start)


@dataclass(slots=True)
class _Utterance:
    """What is known about the utterance that is being worked on."""

    number: int
    partial_due: int
    speculated_stop: int = -1
    speculated_words: list[DecodedWord] | None = None
    shown: str = ""


class Recogniser:
    """Turns what a listener has found into events.

    Not thread-safe but for `run`, which is the only part that takes time and touches nothing that
    is shared: a thread may run it while another one pushes sound into the listener.
    """

    def __init__(
        self,
        listener: Listener,
        model: Model,
        settings: Settings,
        *,
        is_live: bool = False,
        is_offline: bool = False,
    ) -> None:
        """Begin with what the listener has found.

        Args:
            listener: What to recognise.
            model: With what.
            settings: How.
            is_live: Sound comes at the speed of speech, so that being behind means something.
            is_offline: Time passes only while the model works, so that a final is no earlier for
                having been guessed; a guess is made only where partials show it.
        """
        self._listener = listener
        self._model = model
        self._search = search_for(model.labels) if settings.language_model else None
        self._is_live = is_live
        self._is_offline = is_offline
        self._is_lagging = False
        # Of the last few: in the middle of one the program may have been stopped, as by Ctrl-Z.
        self._speeds: deque[float] = deque(maxlen=N_SPEEDS)
        self._longest = min(to_samples(settings.longest_piece_s), model.longest)
        self._first_interval = to_samples(settings.first_partial_interval_s)
        self._first_within = to_samples(settings.first_partial_within_s)
        self._partial_interval = to_samples(settings.partial_interval_s)
        self._partial_window = to_samples(settings.partial_window_s)
        self._context = min(to_samples(settings.context_s), self._longest // 4)
        lag = to_samples(settings.stable_lag_with(model.stable_lag_s))
        self._stable_lag = min(lag, self._longest // 4)
        self._cut_window = to_samples(settings.cut_window_s)
        self._cut_pause = to_samples(settings.cut_pause_s)
        self._stabiliser = Stabiliser(settings, self._stable_lag)
        self._utterance: _Utterance | None = None  # of the first pending segment, once announced
        self._events: list[Event] = []
        self._n_recognised = 0
        self._n_utterances = 0
        self._n_words = 0
        self._n_partials = 0
        self._n_speculative = 0
        self._n_speculative_used = 0
        self._n_inferences = 0
        self.change(settings)

    def change(self, settings: Settings) -> None:
        """Take other settings of those that can change while sound is heard."""
        self._settings = settings

    def next_work(self) -> Work | None:
        """Settle what needs no model, and choose the best work there is now, if there is any."""
        pending = self._listener.pending
        while pending:
            first = pending[0]
            if isinstance(first, Gap):
                self._emit_gap(first)
                pending.popleft()
            elif isinstance(first, DeviceLost | DeviceRestored):
                self._events.append(first)
                pending.popleft()
            else:
                utterance = self._utterance or self._announce(first)
                known = self._known_final(first, utterance)
                if known is None:
                    return self._work_for(first, utterance)
                self._n_speculative_used += 1
                self._finish(first, utterance, known)
        self._watch_lag(0, self._rtf)  # Nothing waits: neither speech nor silence.
        return None

    def run(self, work: Work) -> list[DecodedWord]:
        """Decode the work's span; the words' times are absolute."""
        model = self._model
        heard = model.hear(work.samples)
        is_over = work.kind in (WorkKind.FINAL, WorkKind.SPECULATIVE)
        words = decode(
            heard, model.labels, model.grid, len(work.samples), self._search, is_over=is_over
        )
        return [word.shifted(work.start) for word in words]

    def complete(self, work: Work, words: list[DecodedWord], took_s: float | None = None) -> None:
        """Draw the consequences of a finished work.

        Args:
            work: What was done.
            words: What `run` gave.
            took_s: How long that took; None if that tells nothing of the model's speed.
        """
        segment = self._listener.pending[0]
        utterance = self._utterance
        assert isinstance(segment, Segment)
        assert utterance is not None
        self._n_inferences += 1
        if took_s is not None:
            self._speeds.append(took_s / work.duration_s)
        if self._is_live:
            self._watch_lag(self._listener.n_since(work.stop), self._rtf)
        if work.kind is WorkKind.FINAL:
            self._finish(segment, utterance, words)
        elif work.kind is WorkKind.CUT:
            self._cut(segment, utterance, work, words)
        else:
            if work.kind is WorkKind.SPECULATIVE:
                self._n_speculative += 1
                utterance.speculated_stop, utterance.speculated_words = work.stop, words
            if self._settings.partials:
                self._show(segment, utterance, work, words)

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def statistics(self) -> Statistics:
        """What became of the sound so far."""
        return replace(
            self._listener.statistics(self._n_recognised),
            utterances=self._n_utterances,
            words=self._n_words,
            partials=self._n_partials,
            speculative_finals=self._n_speculative,
            speculative_finals_used=self._n_speculative_used,
            inferences=self._n_inferences,
        )

    @property
    def _rtf(self) -> float:
        """What the model takes for a second of sound, in seconds; 0 if that is not known."""
        return median(self._speeds) if self._speeds else 0.0

    def _watch_lag(self, lag: int, rtf: float) -> None:
        """Say when the model falls behind, and when it has caught up."""
        limit_s = CAUGHT_UP_S if self._is_lagging else BEHIND_S
        if self._is_lagging != (to_seconds(lag) > limit_s):
            self._is_lagging = not self._is_lagging
            self._events.append(Lagging(lag_s=to_seconds(lag), rtf=rtf))

    def _announce(self, segment: Segment) -> _Utterance:
        self._utterance = _Utterance(self._n_utterances, partial_due=segment.start)
        self._n_utterances += 1
        self._stabiliser.reset(segment.start)
        self._events.append(
            SpeechStarted(utterance=self._utterance.number, start_s=to_seconds(segment.start))
        )
        return self._utterance

    def _known_final(self, segment: Segment, utterance: _Utterance) -> list[DecodedWord] | None:
        """The words of a closed segment whose very span was decoded speculatively."""
        return utterance.speculated_words if segment.stop == utterance.speculated_stop else None

    def _work_for(self, segment: Segment, utterance: _Utterance) -> Work | None:
        """The best work that can be done for the first pending segment.

        Whether to cut depends on where speech ends and on nothing else: not on how much has been
        heard when the model becomes free. Otherwise the finals would depend on the machine.
        """
        heard = self._listener.heard
        speech_stop = segment.speech_stop + segment.trailing_pad  # as far as is known by now
        piece_stop = segment.decode_from + self._longest
        if piece_stop < (speech_stop if segment.stop is None else segment.stop):
            # Not at `heard == piece_stop`: if the sound ended there, it would be a whole utterance.
            if piece_stop < heard or segment.stop is not None:
                return self._work(WorkKind.CUT, segment, piece_stop)
        elif segment.stop is not None:
            return self._work(WorkKind.FINAL, segment, segment.stop)
        elif heard >= speech_stop and heard > segment.speech_stop:
            # The span of a final is complete, and all that comes is silence or more speech.
            is_wanted = self._settings.partials or not self._is_offline
            if is_wanted and utterance.speculated_stop != speech_stop:
                return self._work(WorkKind.SPECULATIVE, segment, speech_stop)
            return None
        is_due = self._settings.partials and heard >= utterance.partial_due
        # In a pause there is nothing new to hear, and the speculative final is not to wait.
        is_speaking = heard <= segment.speech_stop + self._listener.frame_length
        # Better no partial than one that holds up a final of a length that is compiled.
        if is_due and is_speaking and self._model.is_ready(heard - segment.decode_from):
            return self._work(WorkKind.PARTIAL, segment, heard)
        return None

    def _work(self, kind: WorkKind, segment: Segment, stop: int) -> Work:
        """What to decode up to `stop`.

        The more was said, the longer that would take, so of a long utterance only what follows the
        last stable word, and some sound before it; but for a final all of it, if that makes the
        model's text better. Without partials nothing is stable and it is all of the utterance.
        """
        start, stable = segment.decode_from, self._stabiliser.stable
        is_bounded = kind is WorkKind.PARTIAL or not self._model.needs_context
        window = self._window()
        if is_bounded and stable and stop - start > window:
            start = max(start, stable[-1].stop - min(self._context, window // 2))
        return Work(kind, start, stop, self._listener.ring.read(start, stop))

    def _window(self) -> int:
        """How much of a long utterance is decoded at once, in samples.

        Of a model that is slow here, less: a partial would hold up the final, which is to be there
        when the silence has been waited for. (Measured with QuartzNet on 40 utterances, live WER
        2.6 % with 6 s, 2.7 % with 4 and 3 s, 3.0 % with 2.4 s.)
        """
        if not self._rtf:
            return self._partial_window
        least, in_time = LEAST_WINDOW * self._partial_window, LONGEST_CALL_S / self._rtf
        return min(self._partial_window, max(round(least), to_samples(in_time)))

    def _show(
        self, segment: Segment, utterance: _Utterance, work: Work, words: list[DecodedWord]
    ) -> None:
        """Take in a hypothesis, and say what is new in it."""
        words = self._spoken(self._stabiliser.joined(words))
        self._stabiliser.push(words, work.stop, is_pause=work.kind is WorkKind.SPECULATIVE)
        if (cut := self._pause_to_cut_at(segment, work.stop)) is not None:
            self._cut_at(cut, self._stabiliser.stable, segment, utterance)
            return
        self._emit_partial(segment, utterance, work.stop)
        is_waited_for = not utterance.shown and work.stop - segment.start < self._first_within
        interval = self._first_interval if is_waited_for else self._partial_interval
        utterance.partial_due = work.stop + interval

    def _pause_to_cut_at(self, segment: Segment, stop: int) -> int | None:
        """Where to cut a long utterance before it must be, if all before a pause is stable."""
        stable, next_start = self._stabiliser.stable, self._stabiliser.next_start
        if not stable or next_start is None:
            return None
        is_long = stop - segment.decode_from >= self._longest - self._cut_window
        cut = (stable[-1].stop + next_start) // 2
        is_late = cut >= segment.decode_from + self._longest // 2
        is_pause = next_start - stable[-1].stop >= self._cut_pause
        return cut if is_long and is_late and is_pause else None

    def _cut(
        self, segment: Segment, utterance: _Utterance, work: Work, words: list[DecodedWord]
    ) -> None:
        """End the utterance at a pause inside the decoded piece, and go on with a new one."""
        words = self._stabiliser.joined(words)
        # Not so early that the next piece, with its context, would be the same again; and what is
        # stable stays in here.
        first = segment.decode_from + self._longest // 2
        if n_stable := len(self._stabiliser.stable):
            first = max(first, words[n_stable - 1].stop)
        # Close to the edge the model has not heard enough to tell a pause from a word.
        edge = max(first, work.stop - self._stable_lag)
        gap = longest_gap(words, segment.start, max(first, work.stop - self._cut_window), edge)
        gap = gap or longest_gap(words, segment.start, first, edge) or (edge, edge)
        self._cut_at(sum(gap) // 2, words, segment, utterance)

    def _cut_at(
        self, cut: int, words: list[DecodedWord], segment: Segment, utterance: _Utterance
    ) -> None:
        said = [word for word in words if not word.is_after(cut)]  # Others the next utterance has.
        said = [replace(word, stop=min(word.stop, cut)) for word in said]
        self._emit_final(segment, cut, said, utterance, speech_stop=cut)
        segment.decode_from = max(segment.decode_from, cut - self._context)
        segment.start = cut
        self._utterance = None

    def _finish(self, segment: Segment, utterance: _Utterance, words: list[DecodedWord]) -> None:
        assert segment.stop is not None
        words = self._stabiliser.joined(words)
        self._emit_final(segment, segment.stop, words, utterance, segment.speech_stop)
        self._listener.pending.popleft()
        self._utterance = None

    def _spoken(self, words: list[DecodedWord]) -> list[DecodedWord]:
        """The words without what was noise; what is stable stays."""
        n_stable = len(self._stabiliser.stable)
        gate = self._settings.noise_gate or self._model.noise_gate
        kept = spoken(words, gate)
        return [*words[:n_stable], *(word for word in words[n_stable:] if word in kept)]

    def _emit_final(
        self,
        segment: Segment,
        stop: int,
        words: list[DecodedWord],
        utterance: _Utterance,
        speech_stop: int,
    ) -> None:
        words = self._spoken(words)
        self._n_recognised += stop - segment.start
        self._n_words += len(words)
        self._events.append(
            Final(
                utterance=utterance.number,
                start_s=to_seconds(segment.start),
                end_s=to_seconds(stop),
                text=_text(words),
                words=_words(words),
                latency_s=to_seconds(max(0, self._listener.n_since(speech_stop))),
                model=self._model.name,
            )
        )

    def _emit_partial(self, segment: Segment, utterance: _Utterance, stop: int) -> None:
        stable_text = _text(self._stabiliser.stable)
        unstable_text = _text(self._stabiliser.unstable)
        shown = f"{stable_text}\n{unstable_text}"
        if shown == utterance.shown:
            return  # Nothing new to say: saying it again would only cost the reader.
        if not utterance.shown and shown == "\n":
            return
        utterance.shown = shown
        self._n_partials += 1
        self._events.append(
            Partial(
                utterance=utterance.number,
                start_s=to_seconds(segment.start),
                end_s=to_seconds(stop),
                stable_text=stable_text,
                unstable_text=unstable_text,
                text=f"{stable_text} {unstable_text}".strip(),
                words=_words(self._stabiliser.stable + self._stabiliser.unstable),
            )
        )

    def _emit_gap(self, gap: Gap) -> None:
        if gap.reason is None:
            return
        self._events.append(
            AudioDropped(
                start_s=to_seconds(gap.start),
                duration_s=to_seconds(gap.stop - gap.start),
                reason=gap.reason,
            )
        )


def _text(words: list[DecodedWord]) -> str:
    return " ".join(word.text for word in words)


def _words(words: list[DecodedWord]) -> tuple[Word, ...]:
    return tuple(
        Word(
            word=word.text,
            start_s=to_seconds(word.start),
            end_s=to_seconds(word.stop),
            confidence=word.confidence,
            written=word.written,
        )
        for word in words
    )
