"""The recogniser with a scripted model: it reads sound in which a text is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import pytest
from event_guarantees import check_event_guarantees, check_sum
from hypothesis import given
from hypothesis import strategies as st
from written_sound import FRAME, WrittenModel, WrittenVad, frames, written

from streamer import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Lagging,
    Partial,
    Settings,
    SpeechStarted,
    Statistics,
    listener,
)
from streamer.decoder import DecodedWord
from streamer.listener import Listener
from streamer.recogniser import Recogniser, Work, WorkKind
from streamer.settings import to_seconds

FINAL, CUT = WorkKind.FINAL, WorkKind.CUT
SPECULATIVE, PARTIAL = WorkKind.SPECULATIVE, WorkKind.PARTIAL
SETTINGS = Settings(
    pre_roll_s=frames(2),
    min_speech_s=frames(3),
    end_silence_s=frames(5),
    trailing_pad_s=frames(2),
    partial_interval_s=frames(3),
    first_partial_interval_s=frames(3),
    stable_agreement=2,
    stable_lag_s=frames(2),
    shown_lag_s=0.0,
    context_s=frames(4),
    longest_piece_s=frames(30),
    cut_window_s=frames(15),
    ring_s=frames(5_000),
)
WORDS = ("A", "DO", "RE", "THE", "FOX", "QUICK", "BROWN", "JUMPS")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).flatmap(
    lambda said: st.tuples(
        *(st.tuples(st.just(word), st.sampled_from([" ", "_ ", " _ ", "_ _"])) for word in said)
    )
)
UTTERANCES = st.lists(TEXTS, min_size=1, max_size=3)


@pytest.fixture(autouse=True, scope="module")
def _written_vad() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listener, "Vad", WrittenVad)
        yield


class Machine:
    """A listener and a recogniser; the model works when it is told to."""

    def __init__(
        self,
        *,
        longest: int = 10_000 * FRAME,
        is_live: bool = False,
        is_offline: bool = False,
        **changes: Any,
    ) -> None:
        settings = replace(SETTINGS, **changes)
        self.model = WrittenModel(longest)
        self.listener = Listener(settings)
        self.recogniser = Recogniser(
            self.listener, self.model, settings, is_live=is_live, is_offline=is_offline
        )
        self.events: list[Event] = []
        self.kinds: list[WorkKind] = []

    def hear(self, text: str) -> None:
        """Only listen."""
        self.listener.push(written(text))
        check_adds_up(self.recogniser.statistics())

    def work(self) -> WorkKind | None:
        """Do one work, if there is one."""
        work = self.recogniser.next_work()
        if work is not None:
            self.kinds.append(work.kind)
            self.recogniser.complete(work, self.recogniser.run(work))
        self.events += self.recogniser.take_events()
        check_adds_up(self.recogniser.statistics())
        return work and work.kind

    def catch_up(self) -> list[WorkKind]:
        """Do all the work that there is; returns what it was."""
        n_before = len(self.kinds)
        while self.work():
            assert len(self.kinds) < 10_000, "the work never ends"
        return self.kinds[n_before:]

    def follow(self, text: str) -> list[WorkKind]:
        """Hear frame by frame and keep up; returns the work that was done."""
        n_before = len(self.kinds)
        for character in text:
            self.hear(character)
            self.catch_up()
        return self.kinds[n_before:]

    def finish(self, lost_device: str | None = None) -> list[Event]:
        """End the sound; returns all events, which keep what is guaranteed."""
        self.listener.finish(lost_device)
        self.catch_up()
        self.events.append(Closed(statistics=self.recogniser.statistics()))
        check_event_guarantees(self.events)
        return self.events

    def finals(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Final)]

    def partials(self) -> list[tuple[str, str]]:
        partials = [event for event in self.events if isinstance(event, Partial)]
        return [(partial.stable_text, partial.unstable_text) for partial in partials]


def check_adds_up(statistics: Statistics) -> None:
    parts = (statistics.recognised_s, statistics.silence_s, statistics.waiting_s)
    assert statistics.captured_s == pytest.approx(sum(parts) + statistics.dropped_s)


def spoken(text: Any) -> str:
    return "".join(word + separator for word, separator in text).rstrip("_ ")


# The most valuable work first.


def test_a_final_comes_before_the_partial_of_the_next_utterance() -> None:
    machine = Machine()
    machine.hear("..DO RE........THE FOX")
    assert machine.work() is FINAL
    assert machine.work() is PARTIAL
    assert machine.finals() == ["DO RE"]


def test_finals_come_in_order_and_none_is_skipped_however_late_the_model_is() -> None:
    machine = Machine()
    machine.hear("..DO RE.......THE FOX.......QUICK.......")
    assert machine.catch_up() == [FINAL] * 3
    assert machine.finals() == ["DO RE", "THE FOX", "QUICK"]
    machine.finish()


def test_partials_coalesce_when_the_model_is_late() -> None:
    machine = Machine()
    machine.hear("..THE QUICK BROWN")
    assert machine.catch_up() == [PARTIAL]
    assert machine.partials() == [("", "THE")]
    machine.hear(" FOX JUMPS")
    assert machine.catch_up() == [PARTIAL]
    assert machine.partials()[-1] == ("THE QUICK BROWN", "")


def test_partials_come_at_their_interval_when_the_model_keeps_up() -> None:
    machine = Machine()
    kinds = machine.follow("..THE QUICK BROWN")
    assert set(kinds) == {PARTIAL}
    assert np.diff(machine.model.heard).tolist() == [3 * FRAME] * (len(kinds) - 1)


def test_a_partial_that_says_nothing_new_is_not_sent() -> None:
    machine = Machine()
    machine.follow("..DO RE" + "_" * 18)
    shown = machine.partials()
    assert len(shown) < machine.kinds.count(PARTIAL)
    assert all(before != after for before, after in pairwise(shown))
    assert shown[-1] == ("DO RE", "")


def test_no_partial_is_sent_before_there_is_a_word() -> None:
    machine = Machine()
    machine.follow("..________")
    assert PARTIAL in machine.kinds
    assert machine.partials() == []


def test_without_partials_the_model_works_for_finals_only() -> None:
    machine = Machine(partials=False)
    machine.follow("..THE QUICK BROWN FOX........")
    assert machine.kinds == [SPECULATIVE]
    assert machine.partials() == []
    assert machine.finals() == ["THE QUICK BROWN FOX"]


def test_there_is_no_work_in_silence() -> None:
    machine = Machine()
    assert machine.follow("." * 100) == []
    (closed,) = machine.finish()
    assert isinstance(closed, Closed)
    assert closed.statistics.utterances == 0


# Speculative finals.


def test_a_speculative_final_is_used_when_no_speech_follows() -> None:
    machine = Machine()
    assert machine.follow("..DO RE..")[-1] is SPECULATIVE
    assert machine.finals() == []
    assert machine.follow("...") == []
    assert machine.finals() == ["DO RE"]
    statistics = machine.recogniser.statistics()
    assert (statistics.speculative_finals, statistics.speculative_finals_used) == (1, 1)


def test_a_speculative_final_is_thrown_away_when_speech_goes_on() -> None:
    machine = Machine()
    machine.follow("..DO RE..")
    machine.follow("THE FOX........")
    # Heard as RETHE by now; but RE was stable.
    assert machine.finals() == ["DO RE THE FOX"]
    statistics = machine.recogniser.statistics()
    assert (statistics.speculative_finals, statistics.speculative_finals_used) == (2, 1)


def test_offline_nothing_is_speculated_that_nobody_sees() -> None:
    text = "..DO RE.. THE FOX........"
    guessing, offline = Machine(partials=False), Machine(partials=False, is_offline=True)
    assert guessing.follow(text) == [SPECULATIVE, SPECULATIVE]
    assert offline.follow(text) == [FINAL]
    assert offline.finals() == guessing.finals() == ["DO RE THE FOX"]
    assert SPECULATIVE in Machine(is_offline=True).follow(text)  # Partials show it.


def test_a_speculative_final_is_made_once_for_a_pause() -> None:
    machine = Machine()
    machine.follow("..DO RE....")
    assert machine.kinds.count(SPECULATIVE) == 1
    assert machine.catch_up() == []


def test_a_speculative_final_of_other_sound_is_not_used() -> None:
    machine = Machine()
    machine.follow("..DO RE..")
    machine.hear(" THE FOX.......")  # The model was busy: it never saw this pause open.
    assert machine.catch_up() == [FINAL]
    assert machine.finals() == ["DO RE THE FOX"]


def test_the_speech_before_the_end_of_the_sound_is_finished() -> None:
    machine = Machine()
    machine.follow("..THE QUICK BROWN FOX")
    machine.finish()
    assert machine.finals() == ["THE QUICK BROWN FOX"]


def test_speech_without_words_ends_with_an_empty_final() -> None:
    machine = Machine()
    machine.follow("..________......")
    machine.finish()
    assert machine.finals() == [""]


# Stable text.


def test_the_stable_text_grows_and_keeps_away_from_the_edge() -> None:
    machine = Machine()
    machine.follow("..THE QUICK BROWN FOX")
    assert machine.partials()[-1] == ("THE QUICK BROWN", "")
    partials = [event for event in machine.events if isinstance(event, Partial)]
    assert all(partial.start_s == 0.0 for partial in partials)
    assert [partial.end_s for partial in partials] == sorted(p.end_s for p in partials)


def test_the_final_begins_with_what_was_stable_and_corrects_the_rest() -> None:
    machine = Machine()
    machine.follow("..THE QUICK BROWN FOX")
    machine.model.hears_instead = {"QUICK": "QUACK", "FOX": "FIX"}
    machine.follow(".......")
    assert machine.finals() == ["THE QUICK BROWN FIX"]


def test_a_long_utterance_is_decoded_from_its_last_stable_word() -> None:
    machine = Machine(longest_piece_s=frames(200), partial_window_s=frames(20))
    machine.follow("..THE QUICK BROWN FOX JUMPS DO RE THE QUICK BROWN FOX JUMPS DO RE......")
    heard = machine.model.heard
    # The window, and what comes before the next partial and the pause behind it.
    assert max(heard) <= 20 * FRAME + 5 * FRAME
    assert machine.finals() == ["THE QUICK BROWN FOX JUMPS DO RE THE QUICK BROWN FOX JUMPS DO RE"]


@pytest.mark.parametrize(("rtf", "shortest", "longest"), [(0.01, 20, 25), (9.0, 10, 15)])
def test_of_a_slow_model_a_long_utterance_is_decoded_in_shorter_parts(
    rtf: float, shortest: int, longest: int
) -> None:
    machine = Machine(longest_piece_s=frames(200), partial_window_s=frames(20))
    for character in "..THE QUICK BROWN FOX JUMPS DO RE THE QUICK BROWN FOX JUMPS DO RE......":
        machine.hear(character)
        while (work := machine.recogniser.next_work()) is not None:
            took_s = rtf * work.duration_s
            machine.recogniser.complete(work, machine.recogniser.run(work), took_s)
    assert shortest * FRAME <= max(machine.model.heard) <= longest * FRAME
    machine.events += machine.recogniser.take_events()
    assert machine.finals() == ["THE QUICK BROWN FOX JUMPS DO RE THE QUICK BROWN FOX JUMPS DO RE"]


def test_nothing_is_decoded_in_a_pause_but_the_speculative_final() -> None:
    machine = Machine(end_silence_s=frames(20), trailing_pad_s=frames(10))
    machine.follow("..THE QUICK")
    assert machine.follow("." * 15) == [SPECULATIVE]


def test_no_partial_waits_for_the_warm_up() -> None:
    machine = Machine()
    machine.model.n_ready = 8 * FRAME
    machine.follow("..THE QUICK BROWN FOX")
    assert 0 < max(machine.model.heard) <= 8 * FRAME
    machine.follow(".......")
    machine.finish()
    assert machine.finals() == ["THE QUICK BROWN FOX"]


def test_the_first_word_is_tried_for_more_often_until_there_is_one() -> None:
    machine = Machine(first_partial_interval_s=frames(3), partial_interval_s=frames(6))
    machine.follow("..__________THE QUICK BROWN FOX")
    steps = (np.diff(machine.model.heard) // FRAME).tolist()
    assert steps[:5] == [3, 3, 3, 6, 6]


def test_what_goes_on_without_a_word_is_noise_and_tried_less_often() -> None:
    machine = Machine(
        first_partial_interval_s=frames(3),
        first_partial_within_s=frames(9),
        partial_interval_s=frames(6),
    )
    machine.follow(".." + 30 * "_")
    steps = (np.diff(machine.model.heard) // FRAME).tolist()
    assert steps[:4] == [3, 3, 6, 6]


# Falling behind.


def test_a_live_model_that_falls_behind_says_so_once_and_once_when_it_has_caught_up() -> None:
    machine = Machine(is_live=True)
    machine.hear("..THE QUICK")
    work = machine.recogniser.next_work()
    assert work is not None
    machine.hear(" BROWN FOX JUMPS" * 4)  # 1.3 s
    machine.recogniser.complete(work, machine.recogniser.run(work), took_s=1.3)
    machine.follow(".......")
    lagging = [event for event in machine.finish() if isinstance(event, Lagging)]
    assert [event.lag_s > 1.0 for event in lagging] == [True, False]
    assert lagging[0].rtf == pytest.approx(1.3 / work.duration_s)


def test_when_nothing_waits_any_more_the_model_is_as_slow_as_it_was() -> None:
    machine = Machine(is_live=True, partials=False)
    machine.hear("..THE QUICK.......")
    work = machine.recogniser.next_work()
    assert work is not None
    machine.hear("." * 100)
    machine.recogniser.complete(work, machine.recogniser.run(work), took_s=2.0)
    assert machine.recogniser.next_work() is None
    rtfs = [e.rtf for e in machine.recogniser.take_events() if isinstance(e, Lagging)]
    assert rtfs == [pytest.approx(2.0 / work.duration_s)] * 2


def test_one_call_that_took_long_does_not_make_the_model_slow() -> None:
    machine = Machine(is_live=True)
    for took_s, text in ((0.01, "..THE "), (0.01, "QUICK BR"), (0.01, "OWN FO"), (2.0, "X JUMPS")):
        machine.hear(text)
        work = machine.recogniser.next_work()
        assert work is not None
        if took_s > 1.0:  # The program was stopped in the middle of it.
            machine.hear(" OVER THE LAZY DOG" * 4)
        machine.recogniser.complete(work, machine.recogniser.run(work), took_s)
    (lagging,) = [e for e in machine.recogniser.take_events() if isinstance(e, Lagging)]
    assert lagging.lag_s > 1.0
    assert lagging.rtf < 0.5


def test_a_recording_cannot_lag() -> None:
    machine = Machine()
    machine.hear("..THE QUICK BROWN FOX JUMPS......." * 10)
    machine.catch_up()
    assert not any(isinstance(event, Lagging) for event in machine.finish())


# Settings changed while sound is heard.


def test_a_longer_hangover_holds_for_the_utterance_under_way() -> None:
    machine = Machine()
    machine.follow("..DO RE...")
    settings = SETTINGS.changed(end_silence_s=frames(10))
    machine.listener.change(settings)
    machine.recogniser.change(settings)
    machine.follow("......_THE FOX...........")
    assert len(machine.finals()) == 1


@pytest.mark.parametrize("context_s", [0.0, frames(4)])
def test_an_utterance_never_ends_before_what_was_cut_off_of_it(context_s: float) -> None:
    long = SETTINGS.changed(end_silence_s=frames(20), trailing_pad_s=frames(20))
    pads = {"end_silence_s": long.end_silence_s, "trailing_pad_s": long.trailing_pad_s}
    machine = Machine(partials=False, context_s=context_s, **pads)
    machine.follow("..THE QUICK BROWN FOX" + 16 * ".")  # The longest piece ends in the silence.
    assert machine.finals()
    settings = long.changed(end_silence_s=frames(5), trailing_pad_s=frames(1))
    machine.listener.change(settings)
    machine.recogniser.change(settings)
    machine.follow("..DO RE.......")
    machine.finish()
    check_event_guarantees(machine.events)
    assert " ".join(machine.finals()).split() == "THE QUICK BROWN FOX DO RE".split()


# Utterances longer than the longest piece.


def test_a_long_utterance_is_cut_early_at_a_pause_behind_which_nothing_is_stable() -> None:
    machine = Machine(cut_pause_s=frames(4))
    machine.follow("..THE QUICK BROWN ____FOX JUMPS DO RE.......")
    machine.finish()
    assert machine.finals() == ["THE QUICK BROWN", "FOX JUMPS DO RE"]
    assert CUT not in machine.kinds


def test_a_long_utterance_is_cut_at_the_longest_pause_of_the_window() -> None:
    machine = Machine()
    #                 30 frames from the first dot: ..............|
    machine.follow("..THE _ _ QUICK BROWN _ FOX JUMPS DO RE.......")
    machine.finish()
    assert machine.finals() == ["THE QUICK BROWN", "FOX JUMPS DO RE"]
    assert CUT in machine.kinds


@pytest.mark.parametrize("where", ["the settings", "the model"])
@given(texts=UTTERANCES, n_longest=st.integers(16, 40))
def test_no_word_is_lost_or_doubled_where_an_utterance_is_cut(
    where: str, texts: list[Any], n_longest: int
) -> None:
    if where == "the model":
        machine = Machine(longest=n_longest * FRAME)
    else:
        machine = Machine(longest_piece_s=frames(n_longest))
    for text in texts:
        machine.follow("..." + spoken(text) + ".......")
    machine.finish()
    said = [word for text in texts for word, _ in text]
    if all(len(spoken(text)) >= 3 for text in texts):  # Less is no speech.
        assert " ".join(machine.finals()).split() == said
    most = n_longest if where == "the settings" else min(30, n_longest)
    assert max(machine.model.heard, default=0) <= most * FRAME


def test_what_follows_a_cut_is_heard_with_the_context_before_it() -> None:
    machine = Machine(partials=False)
    machine.follow("..THE QUICK BROWN _ FOX JUMPS DO RE.......")
    machine.finish()
    first, second = (event for event in machine.events if isinstance(event, Final))
    assert second.start_s == first.end_s
    heard_s = second.end_s - second.start_s + SETTINGS.context_s
    assert to_seconds(machine.model.heard[-1]) == pytest.approx(heard_s)


@given(texts=UTTERANCES, chance=st.randoms(use_true_random=False))
def test_what_is_stable_stays_though_words_are_heard_at_another_time_each_time(
    texts: list[Any], chance: random.Random
) -> None:
    machine = Machine()
    run = machine.recogniser.run

    def moved(work: Work) -> list[DecodedWord]:
        found: list[DecodedWord] = []
        for word in run(work):
            start, stop = (time + chance.randint(-FRAME, FRAME) for time in (word.start, word.stop))
            start = max(start, found[-1].stop if found else work.start)
            found.append(replace(word, start=start, stop=min(max(stop, start + 1), work.stop)))
        return found

    machine.recogniser.run = moved
    for text in texts:
        machine.follow("..." + spoken(text) + ".......")
    machine.finish()
    check_event_guarantees(machine.events)


def test_the_model_never_gets_more_than_the_longest_piece() -> None:
    machine = Machine()
    machine.follow("..." + "THE QUICK BROWN FOX " * 20 + ".......")
    machine.finish()
    assert max(machine.model.heard) == 30 * FRAME


@pytest.mark.parametrize("speech", ["_", "A", "AB"])
def test_speech_without_a_pause_is_cut_nevertheless(speech: str) -> None:
    machine = Machine()
    machine.follow("..." + (speech * 200)[:200] + ".......")
    machine.finish()
    assert len(machine.finals()) >= 7


# The machine's speed.


def said_in_all(machine: Machine) -> list[str]:
    return " ".join(final.text for final in finals_without_latency(machine)).split()


def finals_without_latency(machine: Machine) -> list[Final]:
    finals = [event for event in machine.finish() if isinstance(event, Final)]
    return [replace(final, latency_s=0.0) for final in finals]


def fast_machine(text: str, *, partials: bool) -> Machine:
    machine = Machine(partials=partials)
    machine.follow(text)
    return machine


def slow_machine(text: str, pauses: list[int], *, partials: bool) -> Machine:
    """While it does one work, so many frames are heard."""
    machine = Machine(partials=partials)
    for n_frames in cycle(pauses):
        machine.hear(text[:n_frames])
        text = text[n_frames:]
        if not text:  # The sound is over before the model has heard of its end.
            return machine
        machine.work()
    raise AssertionError("unreachable")


@given(
    texts=UTTERANCES,
    pauses=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    end=st.sampled_from(["", ".", "......."]),
)
def test_finals_do_not_depend_on_the_speed_of_the_machine(
    texts: list[Any], pauses: list[int], end: str
) -> None:
    text = "...." + ".......".join(map(spoken, texts)) + end
    slow, fast = (
        slow_machine(text, pauses, partials=False),
        fast_machine(text, partials=False),
    )
    assert finals_without_latency(slow) == finals_without_latency(fast)
    # Where a long utterance is cut depends on what is stable by then; what was said does not.
    slow, fast = slow_machine(text, pauses, partials=True), fast_machine(text, partials=True)
    assert said_in_all(slow) == said_in_all(fast)


def test_without_partials_nothing_that_was_heard_in_a_pause_binds_the_final() -> None:
    machine = Machine(partials=False, end_silence_s=frames(10), longest_piece_s=frames(200))
    for text in ("..THE QUICK", " BROWN", " FOX", " JUMPS"):
        machine.follow(text + ".....")
    machine.model.hears_instead = {"QUICK": "QUACK"}
    machine.follow(" DO..........")
    assert machine.kinds.count(SPECULATIVE) == 5
    assert machine.finals() == ["THE QUACK BROWN FOX JUMPS DO"]


@pytest.mark.parametrize("n_more", range(-3, 6))
def test_finals_do_not_depend_on_the_speed_when_the_sound_ends_near_the_longest_piece(
    n_more: int,
) -> None:
    text = "..THE QUICK BROWN FOX JUMPS DO REJUMPS"[: 30 + n_more]
    slow, fast = slow_machine(text, [100], partials=False), fast_machine(text, partials=False)
    assert finals_without_latency(slow) == finals_without_latency(fast)


# Gaps.


def events_with_gap(do: Callable[[Machine], None]) -> list[Event]:
    machine = Machine()
    machine.follow("..DO RE.......THE FOX")
    do(machine)
    machine.follow("JUMPS A.......")
    return machine.finish()


def test_a_gap_is_reported_in_order_and_no_utterance_reaches_across() -> None:
    events = events_with_gap(lambda machine: machine.listener.skip(1_000, "a test"))
    kept = [e for e in events if isinstance(e, SpeechStarted | Final | AudioDropped)]
    assert [event.type for event in kept] == [
        *["speech_started", "final"] * 2,
        "audio_dropped",
        *["speech_started", "final"],
    ]
    before, gap, after = kept[3], kept[4], kept[6]
    assert [f.text for f in kept if isinstance(f, Final)] == ["DO RE", "THE FOX", "JUMPS A"]
    gap_start_s = frames(len("..DO RE.......THE FOX"))
    assert gap == AudioDropped(start_s=gap_start_s, duration_s=1_000 / 16_000, reason="a test")
    assert isinstance(before, Final)
    assert before.end_s == gap_start_s
    assert isinstance(after, Final)
    assert after.start_s == gap_start_s + 1_000 / 16_000


def test_lost_sound_is_nothing_that_the_model_is_behind_with() -> None:
    machine = Machine(is_live=True)
    machine.hear("..THE FOX")
    work = machine.recogniser.next_work()
    assert work is not None
    words = machine.recogniser.run(work)
    machine.listener.skip(1_000 * FRAME, "asleep")
    machine.hear("." * 10)
    machine.recogniser.complete(work, words, 0.1)
    machine.catch_up()
    events = machine.finish()
    assert not any(isinstance(event, Lagging) for event in events)
    (final,) = (event for event in events if isinstance(event, Final))
    assert final.latency_s <= frames(10 + 9)


def test_a_gap_that_grows_is_reported_once() -> None:
    def lose_more_and_more(machine: Machine) -> None:
        for n_samples in (1_000, 500, 700):
            machine.listener.skip(n_samples, "a test")
            machine.catch_up()

    gaps = [e for e in events_with_gap(lose_more_and_more) if isinstance(e, AudioDropped)]
    assert [gap.duration_s for gap in gaps] == [2_200 / 16_000]


def test_sound_lost_for_several_reasons_is_several_gaps() -> None:
    def lose_twice(machine: Machine) -> None:
        machine.listener.skip(1_000, "one")
        machine.listener.skip(500, "other")

    gaps = [e for e in events_with_gap(lose_twice) if isinstance(e, AudioDropped)]
    lost = [(gap.reason, gap.duration_s) for gap in gaps]
    assert lost == [("one", 1_000 / 16_000), ("other", 500 / 16_000)]
    assert gaps[1].start_s == gaps[0].start_s + gaps[0].duration_s


def test_a_gap_at_the_very_end_is_reported() -> None:
    machine = Machine()
    machine.follow("..DO RE")
    machine.listener.skip(1_000, "a test")
    events = machine.finish()
    assert [event.type for event in events[-3:]] == ["final", "audio_dropped", "closed"]


def test_a_gap_while_the_model_is_late_loses_no_speech_from_before() -> None:
    machine = Machine()
    machine.hear("..DO RE.......THE FOX")
    machine.listener.skip(20 * FRAME, "a test")
    machine.hear("JUMPS A.......")
    machine.finish()
    assert machine.finals() == ["DO RE", "THE FOX", "JUMPS A"]


def test_a_gap_when_the_ring_is_full_loses_no_speech_from_before() -> None:
    machine = Machine(ring_s=frames(100))
    machine.hear("..THE QUICK BROWN FOX........JUMPS")
    while machine.listener.room() >= FRAME:
        machine.hear("_")
    machine.listener.skip(100 * FRAME, "a test")
    machine.finish()
    assert " ".join(machine.finals()).split() == ["THE", "QUICK", "BROWN", "FOX", "JUMPS"]


def test_a_lost_device_is_reported_after_what_was_said_before() -> None:
    machine = Machine()
    machine.follow("..THE FOX")
    events = machine.finish(lost_device="a microphone")
    assert machine.finals() == ["THE FOX"]
    assert DeviceLost(device="a microphone", at_s=frames(9)) == events[-2]


def test_a_restored_device_is_reported_after_the_time_without_it() -> None:
    machine = Machine()
    machine.follow("..DO RE.......THE FOX")
    machine.listener.lose("old")
    machine.listener.lose("old")  # once more makes no difference
    machine.listener.skip(1_000, "gone")
    machine.listener.restore("new")
    machine.follow("JUMPS A.......")
    events = [e for e in machine.finish() if not isinstance(e, Partial)]
    assert [event.type for event in events] == [
        *["speech_started", "final"] * 2,
        *["device_lost", "audio_dropped", "device_restored"],
        *["speech_started", "final", "closed"],
    ]
    lost_s = frames(len("..DO RE.......THE FOX"))
    assert events[4] == DeviceLost(device="old", at_s=lost_s)
    assert events[6] == DeviceRestored(device="new", at_s=lost_s + 1_000 / 16_000)
    assert machine.finals() == ["DO RE", "THE FOX", "JUMPS A"]


def test_a_device_lost_while_the_model_is_late_loses_no_speech_from_before() -> None:
    machine = Machine(ring_s=frames(100))
    machine.hear("..THE QUICK BROWN FOX")
    while machine.listener.room() >= FRAME:
        machine.hear("_")
    machine.listener.skip(50 * FRAME, "too slow")
    machine.listener.lose("a microphone")
    machine.listener.skip(100 * FRAME, "gone")
    machine.listener.restore("a microphone")
    machine.catch_up()
    machine.follow("JUMPS A.......")
    events = machine.finish()
    assert " ".join(machine.finals()).split() == ["THE", "QUICK", "BROWN", "FOX", "JUMPS", "A"]
    kinds = [event.type for event in events]
    lost, back = kinds.index("device_lost"), kinds.index("device_restored")
    assert kinds[lost - 1 : back] == ["audio_dropped", "device_lost", "audio_dropped"]


# Statistics.


def test_in_the_end_every_sample_was_recognised_silent_or_dropped() -> None:
    machine = Machine()
    machine.follow("..........DO RE.......")
    machine.listener.skip(10 * FRAME, "a test")
    machine.follow("...THE FOX" + "." * 20)
    closed = machine.finish()[-1]
    assert isinstance(closed, Closed)
    statistics = closed.statistics
    assert statistics.captured_s == pytest.approx(frames(22 + 10 + 30))
    assert statistics.dropped_s == pytest.approx(frames(10))
    assert statistics.recognised_s == pytest.approx(frames(9 + 11))
    assert (statistics.utterances, statistics.words) == (2, 4)
    assert statistics.inferences == len(machine.model.heard)
    assert statistics.waiting_s == 0.0


def test_lost_sound_is_not_waiting_too_while_speech_before_it_is() -> None:
    machine = Machine()
    machine.hear("..THE FOX")
    machine.listener.skip(10 * FRAME, "a test")
    check_sum(machine.recogniser.statistics())
    machine.hear("JUMPS A")
    check_sum(machine.recogniser.statistics())
    machine.catch_up()
    check_sum(machine.recogniser.statistics())


def test_latency_is_the_sound_heard_since_speech_ended() -> None:
    fast, slow = Machine(), Machine()
    fast.follow("..DO RE" + "." * 20)
    slow.hear("..DO RE" + "." * 20)
    slow.catch_up()
    latency_s = [
        event.latency_s
        for machine in (fast, slow)
        for event in machine.finish()
        if isinstance(event, Final)
    ]
    assert latency_s == pytest.approx([SETTINGS.end_silence_s, frames(20)])


def test_without_a_trailing_pad_only_silence_is_taken_for_the_end() -> None:
    machine = Machine(trailing_pad_s=0.0, partials=False)
    machine.follow("A DO RE THE FOX")
    assert machine.kinds == []
    assert machine.follow(".") == [SPECULATIVE]
