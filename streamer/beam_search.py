"""CTC beam search with a language model: the likeliest text instead of the likeliest labels.

Prefix beam search (Hannun et al. 2014, https://arxiv.org/abs/1408.2873): a hypothesis is a text,
and its acoustic probability the sum over all alignments, kept apart for those that end in a blank
and those that end in its last letter. Its score is

    log p(text | sound) + WEIGHT * log p(text) + PER_WORD * words

A word's probability is known when it ends; until then the likeliest word that begins so stands for
it, so that hypotheses in the middle of a word can be compared.
"""

from __future__ import annotations

import math

import numpy as np

from streamer.alignment import NEVER, LogProbs
from streamer.language_model import LETTERS, NO_WORD, ROOT, LanguageModel, english
from streamer.models.labels import Labels

# Chosen on held-out speakers of the training data: 0.3 to 0.6 differ by a point of WER on read
# prose; spelled letters and numbers prefer less, and something for each word.
WEIGHT, PER_WORD = 0.4, 0.5
WIDTH = 16  # hypotheses; 32 are no better
BEHIND = 8.0  # a hypothesis that is so much behind the best one is given up
LEAST = -7.0  # labels that are less probable in a frame are not tried there

_ALL = sorted(LETTERS)


class _Text:
    """A hypothesis: a node in the tree of texts that have been tried.

    It does not know its children: they would be cycles, which Python frees only when it looks at
    all objects there are, and stops every thread for a fifth of a second.

    Attributes:
        parent: The text without its last label; None for the empty one.
        label: The last label.
        node: Where in the language model's prefix tree the word is that has begun.
        n_letters: How many letters it has.
        previous: The word before it.
        complete: Score of the words before it.
        score: `complete`, and what is known of the word that has begun.
    """

    __slots__ = "complete label n_letters node parent previous score".split()

    def __init__(
        self, parent: _Text | None, label: int, node: int, n_letters: int, previous: int
    ) -> None:
        self.parent, self.label = parent, label
        self.node, self.n_letters, self.previous = node, n_letters, previous
        self.complete = self.score = 0.0

    def labels(self) -> list[int]:
        """All its labels, in order."""
        found, text = [], self
        while text.parent is not None:
            found.append(text.label)
            text = text.parent
        return found[::-1]


_Children = dict[tuple[_Text, int], _Text]


class BeamSearch:
    """Finds the likeliest text. Holds no state between searches."""

    def __init__(
        self,
        labels: Labels,
        language: LanguageModel,
        *,
        width: int = WIDTH,
        least: float = LEAST,
    ) -> None:
        """Search among the texts that these labels can write.

        Args:
            labels: What the columns of the log-probabilities stand for.
            language: Which texts are likely.
            width: How many hypotheses go on from a frame to the next.
            least: Labels with a lower log-probability in a frame are not tried there.
        """
        self._language = language
        self._width = width
        self._least = least
        self._blank = labels.blank
        self._word_boundary = labels.word_boundary
        self._letters = {
            label: LETTERS.index(symbol.upper())
            for label, symbol in enumerate(labels.symbols)
            if label not in labels.silent and label != labels.word_boundary
        }
        self._usable = np.zeros(len(labels.symbols), bool)
        self._usable[[labels.blank, labels.word_boundary, *self._letters]] = True

    def best(self, log_probs: LogProbs) -> list[int]:
        """The labels of the likeliest text, without blanks.

        Args:
            log_probs: Log-probabilities of the valid frames.
        """
        beam = [(_Text(None, self._blank, ROOT, 0, NO_WORD), 0.0, NEVER)]
        children: _Children = {}
        for row in log_probs:
            tried = [
                (label, float(row[label]))
                for label in np.flatnonzero(self._usable & (row > self._least)).tolist()
            ]
            beam = self._pruned(self._extended(beam, tried, children)) or beam
        totals: dict[_Text, float] = {}
        for text, in_blank, in_label in beam:
            # A boundary after the last word writes nothing.
            said = text if text.n_letters else text.parent or text
            totals[said] = _sum(totals.get(said, NEVER), _sum(in_blank, in_label))
        return max(totals, key=lambda text: totals[text] + self._whole(text)).labels()

    def _extended(
        self,
        beam: list[tuple[_Text, float, float]],
        tried: list[tuple[int, float]],
        children: _Children,
    ) -> dict[_Text, list[float]]:
        """Each hypothesis with each label: text -> [ends in a blank, ends in its last label]."""
        found: dict[_Text, list[float]] = {}

        def add(text: _Text, end: int, log_prob: float) -> None:
            entry = found.setdefault(text, [NEVER, NEVER])
            entry[end] = _sum(entry[end], log_prob)

        for text, in_blank, in_label in beam:
            either = _sum(in_blank, in_label)
            for label, log_prob in tried:
                if label == self._blank:
                    add(text, 0, either + log_prob)
                elif label == self._word_boundary and not text.n_letters:
                    # Before the first letter of a word it says as little as a blank.
                    add(text, 0, either + log_prob)
                elif label == text.label:
                    # The same label goes on, or, after a blank, comes once more.
                    add(text, 1, in_label + log_prob)
                    add(self._child(text, label, children), 1, in_blank + log_prob)
                else:
                    add(self._child(text, label, children), 1, either + log_prob)
        return found

    def _pruned(self, found: dict[_Text, list[float]]) -> list[tuple[_Text, float, float]]:
        ranked = sorted(
            ((_sum(a, b) + text.score, text, a, b) for text, (a, b) in found.items()),
            key=lambda entry: -entry[0],
        )[: self._width]
        return [(text, a, b) for score, text, a, b in ranked if score > ranked[0][0] - BEHIND]

    def _child(self, text: _Text, label: int, children: _Children) -> _Text:
        child = children.get((text, label))
        if child is None:
            child = children[text, label] = self._new_child(text, label)
        return child

    def _new_child(self, text: _Text, label: int) -> _Text:
        if label == self._word_boundary:
            child = _Text(text, label, ROOT, 0, self._language.word(text.node))
            child.complete = child.score = self._whole(text)
            return child
        node, n_letters = self._language.child(text.node, self._letters[label]), text.n_letters + 1
        child = _Text(text, label, node, n_letters, text.previous)
        child.complete = text.complete
        child.score = text.complete + WEIGHT * self._language.beginning(node, n_letters)
        return child

    def _whole(self, text: _Text) -> float:
        """The score of a text that ends here."""
        if not text.n_letters:
            return text.complete
        word = self._language.word(text.node)
        log_prob = self._language.after(text.previous, word, text.n_letters)
        return text.complete + WEIGHT * log_prob + PER_WORD


def search_for(labels: Labels) -> BeamSearch | None:
    """The search for a model's labels; None if they are not the letters of English and a boundary.

    A model of another language may have these very letters: who uses it says so.
    """
    boundary = labels.symbols[labels.word_boundary]
    written = [s for i, s in enumerate(labels.symbols) if i not in labels.silent and s != boundary]
    return BeamSearch(labels, english()) if sorted(map(str.upper, written)) == _ALL else None


def _sum(a: float, b: float) -> float:
    """The logarithm of the sum of two probabilities."""
    if a < b:
        a, b = b, a
    return a + math.log1p(math.exp(b - a)) if b > a - 30.0 else a
