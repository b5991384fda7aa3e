"""The text that a model has written beside its log-probabilities, and whether to believe it.

An attention decoder knows words, but it can leave the sound: it repeats itself, or writes a likely
sentence over an unlikely one. CTC hears letters, one by one. So what was written is laid over what
CTC has heard, which says when each word was said, and how well the two agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from streamer.alignment import Trellis
from streamer.models.labels import Labels

# A written text is believed unless CTC's own is likelier by more than this for every letter, as a
# logarithm, times the square of how sure the second pass is of its words. Chosen on training data
# and VCTK, for the sum of all errors: of spelled names and numbers a third of the errors is left
# then, of accented speech three quarters, and read prose is as it was written.
DOUBT = 3.0
# A word less sure than this is not taken where the sound breaks off in it, nor where the text as a
# whole does not fit the sound: there a decoder makes something up.
LEAST_CONFIDENCE = 0.5
CONFIDENCE_OF_NOTHING = 0.5
# A written word of which both passes together are less sure may still change. (Measured live on
# VCTK, 4.3 % WER in one piece: without this 5.1, with 0.5 4.9, with 0.65 4.5, with 0.75 4.0 %; but
# of the words 5 % are stable later than 2.2, 3.5, 4.8 and 5.6 s after their end.)
CERTAIN = 0.65
ENDS = ".?!"  # marks behind a sentence
MARKS = ENDS + ","  # what stands behind a word; an apostrophe is a part of it
# What is written otherwise than it is said.
ABBREVIATIONS = {"MR": "MISTER", "MRS": "MISSUS", "DR": "DOCTOR"}
HYPHENS = re.compile("-+")
COMMAS = re.compile(",{2,}")


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text as a model's labels spell it.

    Attributes:
        written: Its words, with case and marks.
        confidences: How sure the second pass is of each of them.
        labels: The labels of all words, with a boundary between them.
        stops: For each word, how many labels there are to its end.
    """

    written: tuple[str, ...]
    confidences: tuple[float, ...]
    labels: tuple[int, ...]
    stops: tuple[int, ...]

    def first(self, n_words: int) -> Spelled:
        """Its beginning."""
        labels = self.labels[: self.stops[n_words - 1] if n_words else 0]
        return Spelled(
            self.written[:n_words], self.confidences[:n_words], labels, self.stops[:n_words]
        )

    def without_unsure_end(self) -> Spelled:
        """All but the unsure words at its end."""
        n_words = len(self.confidences)
        while n_words and self.confidences[n_words - 1] < LEAST_CONFIDENCE:
            n_words -= 1
        return self.first(n_words)

    @property
    def confidence(self) -> float:
        """The geometric mean of its words' confidences."""
        if not self.confidences:
            return CONFIDENCE_OF_NOTHING
        log_sum = sum(math.log(max(confidence, 1e-9)) for confidence in self.confidences)
        return math.exp(log_sum / len(self.confidences))


def spell(text: str, confidences: Sequence[float], labels: Labels) -> Spelled:
    """Spell a text as it is said. What has no label, like a comma, stays with the word before it.

    Hyphens part words, because nobody says them; the parts share how sure it is of the whole.

    Args:
        text: The text.
        confidences: How sure the second pass is of each word of it, as blanks part them.
        labels: What to spell it with.
    """
    known = {symbol.upper(): label for label, symbol in enumerate(labels.symbols)}
    written: list[str] = []
    sure: list[float] = []
    spelled: list[int] = []
    stops: list[int] = []
    for whole, confidence in zip(text.split(), confidences, strict=True):
        parts = HYPHENS.split(whole)
        confidence **= 1 / max(1, sum(any(map(str.isalpha, part)) for part in parts))
        for word in parts:
            said = word.rstrip(MARKS).upper()
            said = ABBREVIATIONS.get(said, said)
            letters = [known[letter] for letter in said if letter in known]
            if letters:
                spelled += [labels.word_boundary, *letters] if written else letters
                written.append(word)
                sure.append(confidence)
                stops.append(len(spelled))
            elif written:
                written[-1] += word
    once = tuple(COMMAS.sub(",", word) for word in written)
    return Spelled(once, tuple(sure), tuple(spelled), tuple(stops))


def is_believed(confidence: float, likelier_by: float, n_letters: int) -> bool:
    """Whether what was written fits the sound about as well as what CTC has heard.

    Args:
        confidence: How sure the second pass is of it.
        likelier_by: By how much what CTC has heard is likelier, as a logarithm.
        n_letters: How many letters they have.
    """
    return likelier_by <= DOUBT * confidence**2 * max(1, n_letters)


def n_fitting(spelled: Spelled, trellis: Trellis) -> int:
    """How many first words of a text are believed, one by one, whatever is said behind them.

    Args:
        spelled: The text.
        trellis: Of its labels.
    """
    n_labels, fit = 0, trellis.best
    for n_words, (confidence, stop) in enumerate(
        zip(spelled.confidences, spelled.stops, strict=True)
    ):
        likelier_by = fit - float(trellis.fits[stop - 1])
        is_sure = confidence >= LEAST_CONFIDENCE
        if not (is_sure and is_believed(confidence, likelier_by, stop - n_labels)):
            return n_words
        n_labels, fit = stop, float(trellis.fits[stop - 1])
    return len(spelled.written)


def ends_sentence(written: str) -> bool:
    """Whether a full stop or the like stands behind a word, and is no part of it."""
    return any(mark in ENDS for mark in marks_of(written))


def marks_of(written: str) -> str:
    """The marks behind a word: "," of "well,"."""
    return written[len(without_marks(written)) :]


def without_marks(written: str) -> str:
    """The word without the marks behind it; the point of "Mr.", "J." and "p.m." is a part of it."""
    word = written.rstrip(MARKS)
    is_initial = len(word) == 1 and word.isupper() and word not in "AI"
    is_abbreviation = is_initial or "." in word or word.upper() in ABBREVIATIONS
    return f"{word}." if is_abbreviation and written[len(word) :].startswith(".") else word


def with_marks(text: str, marks: str) -> str:
    """A text with marks behind it, one point where both have some."""
    return text + marks_to_add(text, marks)


def marks_to_add(text: str, marks: str) -> str:
    """What of the marks is still to be put behind a text that may end with a point of its own."""
    return marks.lstrip(".") if text.endswith(".") else marks
