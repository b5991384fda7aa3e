"""Words with times, as a model recognises them: what the tests of text begin with."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import strategies as st

from streamer import Final, Partial, Word

PAUSE = "/"  # in a transcript: so long that it ends a sentence
PAUSE_S = 1.0


def said(text: str, start_s: float = 0.0, word_s: float = 0.3, gap_s: float = 0.1) -> list[Word]:
    """Words of one length, one after the other, with pauses where `/` stands."""
    words = []
    for word in text.split():
        if word == PAUSE:
            start_s += PAUSE_S
        else:
            words.append(Word(word=word, start_s=start_s, end_s=start_s + word_s, confidence=1.0))
            start_s += word_s + gap_s
    return words


def written(text: str) -> list[Word]:
    """The same from a model that writes case and marks, like "Well, I"."""
    return [
        replace(word, word=re.sub(r"[.,?!]", "", word.word).upper(), written=word.word)
        for word in said(text)
    ]


def final(words: list[Word], start_s: float = 0.0, end_s: float | None = None) -> Final:
    if end_s is None:
        end_s = words[-1].end_s if words else start_s
    return Final(
        utterance=0,
        start_s=start_s,
        end_s=end_s,
        text=" ".join(word.word for word in words),
        words=tuple(words),
        latency_s=0.0,
        model="test",
    )


def partial(words: list[Word], n_stable: int) -> Partial:
    texts = [word.word for word in words]
    return Partial(
        utterance=0,
        start_s=0.0,
        end_s=words[-1].end_s if words else 0.0,
        stable_text=" ".join(texts[:n_stable]),
        unstable_text=" ".join(texts[n_stable:]),
        text=" ".join(texts),
        words=tuple(words),
    )


# Every word that begins, goes on with or ends something.
TELLING = (
    "A O OH I M P B THE IN AT AND OR TO OF PER POINT HALF PAST QUARTER HUNDRED HUNDREDS THOUSAND "
    "MILLION ZERO ONE TWO FIVE SEVEN TEN TWELVE NINETEEN TWENTY THIRTY EIGHTIES FIRST SECOND THIRD "
    "TWENTIETH DOLLARS CENTS EURO PERCENT CENT PM MAY MARCH NEW YORK MISTER DO YOU WHAT COMMA "
    "PERIOD FULL STOP QUESTION MARK OPEN CLOSE QUOTE LINE PARAGRAPH SCRATCH THAT ALL CAPS END "
    "CAPITAL LITERAL MY MAIL ADDRESS HOUSE"
).split()


def utterances() -> st.SearchStrategy[list[Word]]:
    """Words of which as many as possible could be a part of something, with pauses anywhere."""
    tokens = st.lists(st.sampled_from([*TELLING, PAUSE]), max_size=14)
    return tokens.map(lambda words: said(" ".join(words)))


def written_utterances() -> st.SearchStrategy[list[Word]]:
    """The same from a model that writes marks, wherever."""
    words = st.tuples(st.sampled_from(TELLING), st.sampled_from(["", "", ",", ".", "?"]))
    tokens = words.map(lambda pair: pair[0].title() + pair[1]) | st.just(PAUSE)
    return st.lists(tokens, max_size=14).map(lambda words: written(" ".join(words)))
