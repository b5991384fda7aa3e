"""Finals -> subtitle cues, and cues in the SubRip and WebVTT formats.

Two lines of 42 columns at most, shown long enough to be read where the speech leaves time for it,
and cut where one would pause (after the Netflix timed text style guide, English).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wcwidth import wcswidth, wcwidth

from streamer.events import Final, Word

LINE_COLUMNS = 42
LONGEST_S = 7.0
SHORTEST_S = 1.0
COLUMNS_PER_S = 17.0  # a comfortable reading speed; above 20 it is too fast
GAP_S = 0.084  # between two cues, two frames of film: one sees that the text has changed
CLOSE_S = 0.5  # a shorter gap only flickers
# The end of an utterance is known about so long before anything more can be said.
LINGER_S = 0.3

# Cuts are good before these, and bad after them and the clinging ones.
LINKING = set(
    "and or but nor so because although though if unless until when while where which who that "
    "than as at by for from in into of on onto over through to under upon with without "
    "about after against before between during since".split()
)
CLINGING = LINKING | set(
    "a an the my your his her its our their this these those every each no not very mister "
    "i you he she we they i'm is are was were be been am will would can could shall should "
    "has have had do does did don't".split()
)


@dataclass(frozen=True, slots=True)
class Cue:
    """A text shown from `start_s` to `end_s`; at most two lines."""

    start_s: float
    end_s: float
    text: str


class Subtitler:
    """Cuts finals into cues as they come. A cue never changes once it is given out."""

    def __init__(self) -> None:
        self._free_s = 0.0  # No cue may begin before it.

    def push(self, final: Final) -> list[Cue]:
        """The cues of a final, none if it has no words."""
        words = [part for word in final.words for part in _parts(word)]
        groups = [words[start:stop] for start, stop in _cut(words, final.end_s + LINGER_S)]
        ends = [group[0].start_s for group in groups[1:]]
        cues = []
        for number, group in enumerate(groups):
            is_last = number == len(groups) - 1
            limit_s = final.end_s + LINGER_S if is_last else ends[number] - GAP_S
            cues.append(self._cue(group, limit_s, is_last))
        return cues

    def _cue(self, words: Sequence[Word], limit_s: float, is_last: bool) -> Cue:
        """The words as a cue that ends by `limit_s`, unless it has no time at all."""
        lines = _lines(words)
        start_s = max(words[0].start_s, self._free_s)
        end_s = max(words[-1].end_s, start_s + _wanted_s(words))
        if not is_last and end_s < limit_s < min(end_s + CLOSE_S, start_s + LONGEST_S):
            end_s = limit_s
        # Formats count whole milliseconds, and a cue of no length is invalid.
        end_s = max(min(end_s, limit_s), start_s + 0.01)
        self._free_s = end_s + GAP_S
        return Cue(start_s, end_s, "\n".join(lines))


def srt(number: int, cue: Cue) -> str:
    """One cue of a SubRip file, counted from 1."""
    times = f"{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}"
    return f"{number}\n{times}\n{cue.text}\n\n"


def vtt(cue: Cue) -> str:
    """One cue of a WebVTT file (https://www.w3.org/TR/webvtt1/), which begins with `WEBVTT`."""
    text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n{text}\n\n"


def _cut(words: Sequence[Word], end_s: float) -> list[tuple[int, int]]:
    """Where to cut words into cues: the cheapest way of all, found from left to right.

    Args:
        words: None wider than a line.
        end_s: When the last cue has to be over.

    Returns:
        The cues as [start, stop) of words.
    """
    best = [(0.0, 0)]  # for each stop: the cost of the cues up to it, and the last one's start
    for stop in range(1, len(words) + 1):
        until_s = words[stop].start_s - GAP_S if stop < len(words) else end_s
        after = _break_cost(words, stop) if stop < len(words) else 0.0
        ways = [(best[stop - 1][0] + _cost(words[stop - 1 : stop], until_s) + after, stop - 1)]
        for start in range(stop - 2, -1, -1):
            group = words[start:stop]
            if group[-1].end_s - group[0].start_s > LONGEST_S or not _lines(group):
                break
            ways.append((best[start][0] + _cost(group, until_s) + after, start))
        best.append(min(ways))
    cuts = []
    stop = len(words)
    while stop:
        cuts.append((best[stop][1], stop))
        stop = best[stop][1]
    return cuts[::-1]


def _cost(words: Sequence[Word], until_s: float) -> float:
    """How bad a cue of these words is that has to be over at `until_s`, in cues."""
    start_s = words[0].start_s
    has_s = min(max(words[-1].end_s - start_s, _wanted_s(words)), until_s - start_s)
    too_fast = max(0.0, _columns(words) / max(has_s, 0.02) - COLUMNS_PER_S)
    too_short = max(0.0, SHORTEST_S - has_s)
    orphan = 2.0 if len(words) == 1 else 0.0
    return 1.5 + too_fast / 3.0 + 4.0 * too_short + orphan


def _break_cost(words: Sequence[Word], at: int) -> float:
    """How bad it is to cut before a word, in cues; below zero it is good."""
    before, after = words[at - 1].word.lower(), words[at].word.lower()
    pause_s = words[at].start_s - words[at - 1].end_s
    cost = -2.0 * min(pause_s, 1.0)
    if before[-1:] in ".?!":
        return cost - 1.5
    if before in CLINGING:
        return cost + 2.0
    return cost - 0.5 if after in LINKING else cost


def _lines(words: Sequence[Word]) -> list[str]:
    """The words on one line or two, cut at the best place; no lines if they do not fit."""
    if _columns(words) <= LINE_COLUMNS:
        return [_joined(words)]
    ways = []
    for at in range(1, len(words)):
        first, second = _columns(words[:at]), _columns(words[at:])
        if max(first, second) <= LINE_COLUMNS:
            ways.append((abs(first - second) / 8 + _break_cost(words, at), at))
    if not ways:
        return []
    _, at = min(ways)
    return [_joined(words[:at]), _joined(words[at:])]


def _wanted_s(words: Sequence[Word]) -> float:
    """How long it takes to read the words."""
    return min(max(SHORTEST_S, _columns(words) / COLUMNS_PER_S), LONGEST_S)


def _columns(words: Sequence[Word]) -> int:
    return sum(_width(word.word) for word in words) + len(words) - 1


def _width(text: str) -> int:
    return max(0, wcswidth(text))


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.word for word in words)


def _parts(word: Word) -> Iterator[Word]:
    """A word that is wider than a line in parts that are as wide as one, each with its time."""
    texts = [""]
    for character in word.word:
        if _width(texts[-1]) + max(0, wcwidth(character)) > LINE_COLUMNS:
            texts.append("")
        texts[-1] += character
    per_part_s = (word.end_s - word.start_s) / len(texts)
    for number, text in enumerate(texts):
        start_s = word.start_s + number * per_part_s
        yield replace(word, word=text, start_s=start_s, end_s=start_s + per_part_s)


def _time(seconds: float, separator: str) -> str:
    ms = round(seconds * 1000)
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    whole, ms = divmod(ms, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{separator}{ms:03}"
