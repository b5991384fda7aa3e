from __future__ import annotations

import io
import random
from itertools import pairwise

import pytest
import srt as strict_srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from spoken import final, said
from wcwidth import wcswidth

from streamer import Final, Word
from streamer.settings import TextStyle
from streamer.subtitles import (
    LINE_COLUMNS,
    LONGEST_S,
    SHORTEST_S,
    Cue,
    Subtitler,
    srt,
    vtt,
)
from streamer.writers import writer_for

FRAME_S = 0.02
# Narrow, wide and combining characters.
LETTERS = "ABC-'字本e\u0301д"


def cues(*finals: Final) -> list[Cue]:
    subtitler = Subtitler()
    return [cue for final in finals for cue in subtitler.push(final)]


@st.composite
def streams(draw: st.DrawFn) -> list[Final]:
    """Successive finals, some cut in mid-speech; words may have no length at all."""
    finals, frame = [], 0
    for _ in range(draw(st.integers(1, 3))):
        start, words = frame, []
        for _ in range(draw(st.integers(0, 30))):
            begin = frame + draw(st.integers(0, 200))
            frame = begin + draw(st.integers(0, 100))
            words.append(
                Word(
                    word=draw(st.text(LETTERS, min_size=1, max_size=20)),
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
    lines = [srt(1, cue).splitlines()[1] for cue in cues(*finals)]
    edges = [milliseconds(time) for line in lines for time in line.split(" --> ")]
    assert edges == sorted(edges)
    assert len(set(edges)) == len(edges)


@given(streams())
def test_cues_are_two_lines_of_42_columns_at_most(finals: list[Final]) -> None:
    for cue in cues(*finals):
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert all(0 < wcswidth(line) <= LINE_COLUMNS for line in lines)


@given(streams())
def test_cues_hold_every_word_once(finals: list[Final]) -> None:
    for event in finals:
        assert " ".join(cue.text for cue in cues(event)).split() == event.text.split()


@given(streams())
def test_no_cue_comes_before_its_words_and_several_words_stay_for_seven_seconds_at_most(
    finals: list[Final],
) -> None:
    for event in finals:
        n_shown = 0
        for cue in cues(event):
            assert cue.start_s >= event.words[n_shown].start_s
            n_words = len(cue.text.split())
            n_shown += n_words
            if n_words > 1:
                assert cue.end_s - cue.start_s <= LONGEST_S + 1e-9


def test_a_short_final_is_one_cue() -> None:
    assert cues(final(said("GOOD MORNING", 1.0, word_s=0.5))) == [Cue(1.0, 2.1, "GOOD MORNING")]


def test_a_short_word_is_shown_for_a_second_if_there_is_room() -> None:
    words = said("NO", 1.0)
    assert cues(final(words, end_s=9.0)) == [Cue(1.0, 1.0 + SHORTEST_S, "NO")]
    (cue,) = cues(final(words, end_s=1.4))
    assert cue.end_s == pytest.approx(1.7)  # Nothing more can be said so soon after an utterance.


def test_fast_speech_stays_into_the_silence_after_it_but_not_into_the_next_cue() -> None:
    fast = said("WORDS THAT COME FASTER THAN ANYBODY COULD READ THEM", word_s=0.1, gap_s=0.02)
    (first, second) = cues(final([*fast, *said("AND THEN NOTHING", 6.0)], end_s=9.0))
    assert len(first.text) / (first.end_s - first.start_s) <= 17.0 + 1e-9
    assert second.start_s == 6.0
    fast = said(
        "WORDS THAT COME FASTER THAN ANYBODY COULD READ THEM AND WHO COULD FOLLOW " * 2, 0.0
    )
    found = cues(final(fast))
    assert all(b.start_s - a.end_s >= 0.08 for a, b in pairwise(found))


def test_cuts_are_where_one_pauses() -> None:
    words = said("THE PLACE HE HAD WAS A VERY GOOD ONE", word_s=0.2)
    words += said("THE SUN SHONE ON HIM AND HE LIKED IT VERY MUCH", 5.0, word_s=0.2)
    assert [cue.text for cue in cues(final(words))] == [
        "THE PLACE HE HAD WAS A VERY GOOD ONE",
        "THE SUN SHONE ON HIM\nAND HE LIKED IT VERY MUCH",
    ]


def test_cuts_are_after_sentences_and_before_linking_words_and_leave_no_word_alone() -> None:
    text = (
        "It was a fine clear night. They were the only persons on the road and they sauntered "
        "leisurely along to avoid paying the price of fatigue for the recreation provided there."
    )
    assert [cue.text for cue in cues(final(said(text, word_s=0.3, gap_s=0.04)))] == [
        "It was a fine clear night.",
        "They were the only persons on the road\nand they sauntered leisurely along",
        "to avoid paying the price of fatigue\nfor the recreation provided there.",
    ]


def test_slow_speech_is_cut_after_seven_seconds() -> None:
    found = cues(final(said("ONE TWO THREE FOUR", word_s=2.0, gap_s=0.5)))
    assert " ".join(cue.text for cue in found) == "ONE TWO THREE FOUR"
    assert all(cue.end_s - cue.start_s <= LONGEST_S for cue in found)


def test_a_final_without_words_has_no_cue() -> None:
    assert cues(final([], end_s=1.0)) == []


def test_a_word_longer_than_a_line_is_broken() -> None:
    assert cues(final(said("A" * 50)))[0].text == "A" * 42 + "\n" + "A" * 8


def test_a_text_without_spaces_is_broken_by_columns_into_cues_with_times_of_their_own() -> None:
    found = cues(final(said("字" * 100, word_s=20.0)))
    lines = [line for cue in found for line in cue.text.split("\n")]
    assert lines == ["字" * 21] * 4 + ["字" * 16]
    assert len(found) >= 3
    assert found[-1].start_s > 10.0


def ten_minutes() -> list[Final]:
    """Finals as of fluent speech: words of natural lengths, pauses, utterances; always the same."""
    source = random.Random(10)
    words = (
        "THE A OF AND TO IN HE SHE THEY WAS IS NOT BUT WHEN THAT WITH LITTLE TREE HOUSE ROAD "
        "MOTHER EVENING MORNING TWENTY THREE HUNDRED FIVE DOLLARS BEAUTIFUL CONSIDERATION "
        "NEVERTHELESS COMPANIONS WENT CAME SAID THOUGHT RESOLVED MONDAY NINETEEN EIGHTY FOUR "
        "WHERE DO YOU"
    ).split()
    finals: list[Final] = []
    time_s = 0.0
    while time_s < 600.0:
        start_s, heard = time_s, []
        time_s += 0.3
        for _ in range(source.randint(1, 45)):
            word = source.choice(words)
            length_s = 0.02 * round((0.08 + 0.055 * len(word) * source.uniform(0.7, 1.3)) / 0.02)
            heard.append(Word(word=word, start_s=time_s, end_s=time_s + length_s, confidence=0.9))
            time_s += length_s + source.choice([0.04, 0.06, 0.1, 0.16, 0.5, 0.9])
        finals.append(final(heard, start_s, heard[-1].end_s + 0.2))
        time_s = finals[-1].end_s + source.choice([0.0, 0.0, 0.4, 2.0])
    return finals


@pytest.mark.parametrize("style", [None, TextStyle()])
def test_ten_minutes_of_subtitles_are_valid_for_independent_parsers_after_every_final(
    style: TextStyle | None,
) -> None:
    subrip, web = io.StringIO(), io.StringIO()
    writers = [writer_for("srt", subrip, style=style), writer_for("vtt", web, style=style)]
    finals = ten_minutes()
    for number, event in enumerate(finals, start=1):
        for writer in writers:
            writer.write(event)
        if number % 10 and number < len(finals):
            continue
        parsed = list(strict_srt.parse(subrip.getvalue()))
        captions = list(webvtt.from_string(web.getvalue()))
        assert [cue.index for cue in parsed] == list(range(1, len(parsed) + 1))
        assert [cue.content for cue in parsed] == [caption.text for caption in captions]
        assert [cue.start.total_seconds() for cue in parsed] == pytest.approx(
            [
                caption.start_in_seconds + caption.start_time.milliseconds / 1000
                for caption in captions
            ]
        )
        if style is None:
            said = " ".join(event.text for event in finals[:number])
            assert " ".join(cue.content for cue in parsed).split() == said.split()
    assert parsed[-1].end.total_seconds() > 590.0


def test_ten_minutes_of_fluent_speech_can_be_read_in_time() -> None:
    found = cues(*ten_minutes())
    speeds = [len(cue.text) / (cue.end_s - cue.start_s) for cue in found]
    assert sum(speed > 20.0 for speed in speeds) <= len(found) * 0.02
    assert sum(cue.end_s - cue.start_s < SHORTEST_S - 0.001 for cue in found) <= len(found) * 0.05
    assert all(b.start_s - a.end_s >= 0.08 for a, b in pairwise(found))


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
