"""Finals -> subtitle cues, and cues in the SubRip and WebVTT formats."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from streamer.events import Final, Word

# What is read at a glance: two lines of 42 characters, at most 7 s
# (Netflix timed text style guide, English).
LINE_LENGTH = 42
N_LINES = 2
LONGEST_S = 7.0
SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Cue:
    """A text shown from `start_s` to `end_s`; at most two lines."""

    start_s: float
    end_s: float
    text: str


def cues(final: Final) -> Iterator[Cue]:
    """Cut a final into cues that can be read, at its words' times."""
    group: list[Word] = []
    for word in final.words:
        if group and not _fits([*group, word]):
            yield _cue(group, word.start_s)
            group = []
        group.append(word)
    if group:
        yield _cue(group, max(final.end_s, group[-1].end_s))


def srt(number: int, cue: Cue) -> str:
    """One cue of a SubRip file, counted from 1."""
    times = f"{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}"
    return f"{number}\n{times}\n{cue.text}\n\n"


def vtt(cue: Cue) -> str:
    """One cue of a WebVTT file (https://www.w3.org/TR/webvtt1/), which begins with `WEBVTT`."""
    text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n{text}\n\n"


def _fits(words: list[Word]) -> bool:
    is_short = words[-1].end_s - words[0].start_s <= LONGEST_S
    return is_short and len(_lines(words)) <= N_LINES


def _lines(words: list[Word]) -> list[str]:
    return textwrap.wrap(" ".join(word.word for word in words), LINE_LENGTH, break_on_hyphens=False)


def _cue(words: list[Word], limit_s: float) -> Cue:
    """The words as a cue that ends by `limit_s`, where the next words begin."""
    start_s = words[0].start_s
    end_s = min(max(words[-1].end_s, start_s + SHORTEST_S), limit_s)
    # Formats count whole milliseconds, and a cue of no length is invalid.
    return Cue(start_s, max(end_s, start_s + 0.002), "\n".join(_lines(words)))


def _time(seconds: float, separator: str) -> str:
    ms = round(seconds * 1000)
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    whole, ms = divmod(ms, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{separator}{ms:03}"
