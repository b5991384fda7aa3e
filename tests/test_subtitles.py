from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import Final, Word
from streamer.subtitles import LINE_LENGTH, LONGEST_S, N_LINES, SHORTEST_S, Cue, cues, srt, vtt

FRAME_S = 0.02


def final(words: list[Word], start_s: float = 0.0, end_s: float | None = None) -> Final:
    return Final(
        utterance=0,
        start_s=start_s,
        end_s=end_s if end_s is not None else words[-1].end_s,
        text=" ".join(word.word for word in words),
        words=tuple(words),
        latency_s=0.0,
        model="test",
    )


def said(text: str, start_s: float = 0.0, word_s: float = 0.3, pause_s: float = 0.1) -> list[Word]:
    """Words of one length, one after the other."""
    words = []
    for word in text.split():
        words.append(Word(word=word, start_s=start_s, end_s=start_s + word_s, confidence=1.0))
        start_s += word_s + pause_s
    return words


@st.composite
def streams(draw: st.DrawFn) -> list[Final]:
    """Successive finals; every word lasts at least a frame of the model."""
    finals, frame = [], 0
    for _ in range(draw(st.integers(1, 3))):
        start, words = frame, []
        for _ in range(draw(st.integers(0, 30))):
            begin = frame + draw(st.integers(0, 200))
            frame = begin + draw(st.integers(1, 100))
            words.append(
                Word(
                    word=draw(st.text("ABC-'", min_size=1, max_size=20)),
                    start_s=begin * FRAME_S,
                    end_s=frame * FRAME_S,
                    confidence=1.0,
                )
            )
        frame += draw(st.integers(0, 100))
        finals.append(final(words, start * FRAME_S, frame * FRAME_S))
    return finals


def milliseconds(time: str) -> int:
    hours, minutes, seconds = time.replace(",", ".").split(":")
    return round((int(hours) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000)


@given(streams())
def test_cues_are_in_order_and_never_overlap_as_written(finals: list[Final]) -> None:
    lines = [srt(1, cue).splitlines()[1] for final in finals for cue in cues(final)]
    edges = [milliseconds(time) for line in lines for time in line.split(" --> ")]
    assert edges == sorted(edges)
    assert all(start < stop for start, stop in zip(edges[::2], edges[1::2], strict=True))


@given(streams())
def test_cues_can_be_read(finals: list[Final]) -> None:
    for cue in (cue for final in finals for cue in cues(final)):
        lines = cue.text.split("\n")
        assert len(lines) <= N_LINES
        assert all(0 < len(line) <= LINE_LENGTH for line in lines)


@given(streams())
def test_cues_hold_every_word_once(finals: list[Final]) -> None:
    for final in finals:
        assert " ".join(cue.text for cue in cues(final)).split() == final.text.split()


@given(streams())
def test_cues_begin_with_a_word_and_several_words_stay_for_seven_seconds_at_most(
    finals: list[Final],
) -> None:
    for final in finals:
        starts = {word.start_s: word for word in final.words}
        for cue in cues(final):
            assert cue.start_s in starts
            if len(cue.text.split()) > 1:
                assert cue.end_s - cue.start_s <= LONGEST_S + 1e-9


def test_a_short_final_is_one_cue() -> None:
    assert list(cues(final(said("GOOD MORNING", 1.0)))) == [Cue(1.0, 1.7, "GOOD MORNING")]


def test_a_short_word_is_shown_for_a_second_if_there_is_room() -> None:
    words = said("NO", 1.0)
    assert list(cues(final(words, end_s=9.0))) == [Cue(1.0, 1.0 + SHORTEST_S, "NO")]
    assert list(cues(final(words, end_s=1.5))) == [Cue(1.0, 1.5, "NO")]


def test_long_text_is_cut_into_cues_of_two_lines() -> None:
    text = "WHILE I AM TALKING THE WORDS APPEAR ON THE SCREEN A MOMENT AFTER I SAY THEM AND THEN"
    found = list(cues(final(said(text, word_s=0.2, pause_s=0.05))))
    assert [cue.text for cue in found] == [
        "WHILE I AM TALKING THE WORDS APPEAR ON THE\nSCREEN A MOMENT AFTER I SAY THEM AND THEN"
    ]
    found = list(cues(final(said(text + " ALL", word_s=0.2, pause_s=0.05))))
    assert found[-1].text == "ALL"


def test_slow_speech_is_cut_after_seven_seconds() -> None:
    found = list(cues(final(said("ONE TWO THREE FOUR", word_s=2.0, pause_s=0.5))))
    assert [cue.text for cue in found] == ["ONE TWO THREE", "FOUR"]
    assert all(before.end_s <= after.start_s for before, after in pairwise(found))


def test_a_final_without_words_has_no_cue() -> None:
    assert list(cues(final([], end_s=1.0))) == []


def test_a_word_longer_than_a_line_is_broken() -> None:
    (cue,) = cues(final(said("A" * 50)))
    assert cue.text == "A" * 42 + "\n" + "A" * 8


def test_a_subrip_cue_is_exactly_as_players_expect() -> None:
    cue = Cue(3_661.5, 3_662.0625, "GOOD\nMORNING")
    assert srt(7, cue) == "7\n01:01:01,500 --> 01:01:02,062\nGOOD\nMORNING\n\n"


def test_a_webvtt_cue_is_exactly_as_browsers_expect() -> None:
    assert vtt(Cue(0.0, 59.9996, "A")) == "00:00:00.000 --> 00:01:00.000\nA\n\n"


@pytest.mark.parametrize(
    ("text", "escaped"), [("A & B", "A &amp; B"), ("<I> --> B", "&lt;I&gt; --&gt; B")]
)
def test_webvtt_markup_in_a_text_is_escaped(text: str, escaped: str) -> None:
    assert vtt(Cue(0.0, 1.0, text)).splitlines()[1] == escaped


def test_a_day_of_speech_has_times() -> None:
    assert "27:46:40,000 --> 27:46:41,000" in srt(1, Cue(100_000.0, 100_001.0, "A"))
