"""The segmenter in pictures: one character a frame, `#` speech, `[` and `]` the utterance."""

from __future__ import annotations

from typing import Any

import pytest

from streamer import Settings
from streamer.segmenter import Segment, Segmenter
from streamer.settings import SAMPLE_RATE

FRAME = 320


def frames(n_frames: int) -> float:
    """So many frames as seconds."""
    return n_frames * FRAME / SAMPLE_RATE


def segmenter(**changes: Any) -> Segmenter:
    """Three of five frames are an onset, four of silence an end; without margins."""
    plain = {"pre_roll_s": 0.0, "min_speech_s": 0.0, "trailing_pad_s": 0.0}
    return Segmenter(FRAME, Settings(**plain | {"end_silence_s": frames(4)} | changes))


def hear(segmenter: Segmenter, picture: str) -> list[Segment]:
    """Push the frames of a picture; returns the segments that were opened."""
    found = [segmenter.push(character == "#") for character in picture if character in "#."]
    return [segment for segment in found if segment is not None]


def draw(sound: str, segments: list[Segment]) -> str:
    """The sound with brackets at the segments' edges."""
    stops = {segment.stop for segment in segments}
    starts = {segment.start for segment in segments}
    picture = ""
    for at in range(0, (len(sound) + 1) * FRAME, FRAME):
        picture += "]" * (at in stops) + "[" * (at in starts) + sound[at // FRAME :][:1]
    return picture


def check(picture: str, **settings: Any) -> None:
    """Assert that the frames of the picture are segmented as it says."""
    sound = "".join(character for character in picture if character in "#.")
    assert draw(sound, hear(segmenter(**settings), sound)) == picture


@pytest.mark.parametrize("n_silent", [1, 2, 3])
def test_less_silence_than_the_hangover_ends_nothing(n_silent: int) -> None:
    check("..[###" + "." * n_silent + "####]....")


def test_one_silent_frame_in_the_onset_ends_nothing() -> None:
    check("..[##.####]....")


def test_the_hangover_ends_an_utterance_where_speech_ended() -> None:
    check("..[####]....")
    check("..[####]......")
    check("..[####...")


def test_after_the_hangover_a_new_utterance_begins() -> None:
    check("..[####]....[####]....")


@pytest.mark.parametrize("onset", ["###", "##.#", "#.##", "#.#.#", "##..#", "#..##"])
def test_three_of_five_speech_frames_are_an_onset(onset: str) -> None:
    check(f"..[{onset}]....")


@pytest.mark.parametrize("click", ["#", "##", "#...##", "#.#", "##...#....##", "#...#...#"])
def test_a_click_is_no_onset(click: str) -> None:
    check(f"..{click}.....")


def test_speech_from_the_first_frame_on_is_taken_from_there() -> None:
    check("[####]....")


def test_the_pre_roll_is_taken_in() -> None:
    check("..[...####]....", pre_roll_s=frames(3))


def test_the_pre_roll_is_clipped_at_the_beginning_of_the_sound() -> None:
    check("[..####]....", pre_roll_s=frames(3))


def test_the_pre_roll_is_clipped_at_the_end_of_the_previous_utterance() -> None:
    check("[..####][....####]....", pre_roll_s=frames(5))
    check("[.####..][..####..]..", pre_roll_s=frames(5), trailing_pad_s=frames(2))


def test_the_trailing_pad_is_kept() -> None:
    check("..[####..]..", trailing_pad_s=frames(2))
    check("..[####....]", trailing_pad_s=frames(4))


def test_an_utterance_with_less_than_the_least_speech_is_ignored() -> None:
    check("..####.........", min_speech_s=frames(5))
    check("..##.#.#.........", min_speech_s=frames(5))
    check("..[#####]....", min_speech_s=frames(5))


def test_silence_does_not_count_as_speech() -> None:
    check("..[###..##]....", min_speech_s=frames(5))


def test_ignored_speech_does_not_count_for_the_next_utterance() -> None:
    check("..####.....####....", min_speech_s=frames(5))
    check("..####.....[#####]....", min_speech_s=frames(5))


def test_a_segment_is_announced_once_and_as_soon_as_it_is_sure() -> None:
    plain = segmenter(min_speech_s=frames(5))
    assert hear(plain, "..####") == []
    (segment,) = hear(plain, "#")
    assert plain.current is segment
    assert (segment.start, segment.speech_stop, segment.stop) == (2 * FRAME, 7 * FRAME, None)
    assert hear(plain, "###.#") == []
    assert segment.speech_stop == 12 * FRAME


@pytest.mark.parametrize(
    ("heard", "picture"),
    [("..####", "..[####]"), ("..####.", "..[####.]"), ("..####...", "..[####..].")],
)
def test_the_end_closes_what_is_open_within_the_sound(heard: str, picture: str) -> None:
    padded = segmenter(trailing_pad_s=frames(2))
    segments = hear(padded, heard)
    padded.end_at(len(heard) * FRAME)
    assert draw(heard, segments) == picture
    assert padded.current is None


def test_the_end_may_come_inside_a_frame() -> None:
    padded = segmenter(trailing_pad_s=frames(2))
    (segment,) = hear(padded, "..####")
    padded.end_at(6 * FRAME + 100)
    assert segment.stop == 6 * FRAME + 100


def test_the_end_forgets_what_was_not_sure() -> None:
    plain = segmenter(min_speech_s=frames(5))
    hear(plain, "..####")
    plain.end_at(6 * FRAME)
    assert hear(plain, "#") == []


def test_after_an_end_nothing_before_it_is_taken_in() -> None:
    plain = segmenter(pre_roll_s=frames(5))
    hear(plain, "....##")
    plain.end_at(100 * FRAME)
    assert plain.current is None
    assert hear(plain, "#") == []  # The two frames before the gap do not count.
    assert [segment.start for segment in hear(plain, "##")] == [100 * FRAME]


def test_what_the_next_segment_can_need_is_never_given_up() -> None:
    sound = "...##.###.......##....####...#.#.#.#....."
    padded = segmenter(pre_roll_s=frames(3), trailing_pad_s=frames(1), min_speech_s=frames(4))
    needed = 0
    for character in sound:
        segment = padded.push(character == "#")
        if segment is not None:
            assert segment.start >= needed
        assert padded.needed_from >= needed
        needed = padded.needed_from
