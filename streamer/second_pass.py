"""The text that a model has written beside its log-probabilities, and whether to believe it.

An attention decoder knows words, but it can leave the sound: it repeats itself, or writes a likely
sentence over an unlikely one. CTC hears letters, one by one. So what was written is laid over what
CTC has heard, which says when each word was said, and how well the two agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamer.models.labels import Labels

# A written text is believed unless CTC's own is likelier by more than this for every letter, as a
# logarithm. Chosen on held-out speakers of the training data, for the sum of all errors: of spelled
# names and numbers a third of the errors is left then, of accented speech four fifths, and read
# prose is as it was.
DOUBT = 0.9
ENDS = ".?!"  # marks behind a sentence
MARKS = ENDS + ","  # what stands behind a word; an apostrophe is a part of it
# What is written otherwise than it is said.
ABBREVIATIONS = {"MR": "MISTER", "MRS": "MISSUS", "DR": "DOCTOR"}
SEPARATORS = re.compile(r"[\s-]+")


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text as a model's labels spell it.

    Attributes:
        written: Its words, with case and marks.
        labels: The labels of all words, with a boundary between them.
    """

    written: tuple[str, ...]
    labels: tuple[int, ...]


def spell(text: str, labels: Labels) -> Spelled:
    """Spell a text as it is said. What has no label, like a comma, stays with the word before it.

    Hyphens part words, because nobody says them.
    """
    known = {symbol.upper(): label for label, symbol in enumerate(labels.symbols)}
    written: list[str] = []
    spelled: list[int] = []
    for word in filter(None, SEPARATORS.split(text)):
        said = without_marks(word).upper()
        said = ABBREVIATIONS.get(said, said)
        letters = [known[letter] for letter in said if letter in known]
        if letters:
            spelled += [labels.word_boundary, *letters] if written else letters
            written.append(word)
        elif written:
            written[-1] += word
    return Spelled(tuple(written), tuple(spelled))


def is_believed(written_log_prob: float, heard_log_prob: float, n_letters: int) -> bool:
    """Whether a written text fits the sound about as well as what CTC has heard."""
    return heard_log_prob - written_log_prob <= DOUBT * max(1, n_letters)


def ends_sentence(written: str) -> bool:
    """Whether a full stop or the like stands behind a word, and not behind an abbreviation."""
    word = without_marks(written)
    return any(mark in ENDS for mark in written[len(word) :]) and word.upper() not in ABBREVIATIONS


def marks_of(written: str) -> str:
    """The marks behind a word: "," of "well,"."""
    return written[len(without_marks(written)) :]


def without_marks(written: str) -> str:
    """The word without the marks behind it."""
    return written.rstrip(MARKS)
