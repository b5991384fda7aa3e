"""What words there are, and which follow which: a model of written English.

84,000 words in a prefix tree and 268,000 pairs of words, made by `scripts/starter/language.py`
(`english/README.md` has the origin). Sorted arrays and bisection instead of dictionaries: 6 MB
of memory instead of 60, and a search looks up a few hundred times a second of sound.
"""

from __future__ import annotations

import functools
import math
from array import array
from bisect import bisect_left
from importlib import resources

import numpy as np

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"
FAN_OUT = 32  # keys of children are `parent * FAN_OUT + letter`
PAIR = 1 << 17  # keys of pairs are `first * PAIR + second`
ROOT = 0
NOWHERE = -1  # no word begins so
NO_WORD = -1  # no word ends here
# A pair that was never seen: so much of the second word's own probability. "Stupid backoff",
# Brants et al. 2007, https://aclanthology.org/D07-1090/.
BACKOFF = math.log(0.4)
# A word that is in no dictionary, and each of its letters: a name, mostly. Chosen on speakers that
# were held out of the training.
UNKNOWN, UNKNOWN_LETTER = -15.0, -2.0


class LanguageModel:
    """A prefix tree of words with their probabilities, and those of pairs.

    A node of the tree stands for the beginning of a word; `ROOT` is the empty one, and `NOWHERE` is
    where no word begins so. All probabilities are natural logarithms.
    """

    def __init__(
        self,
        child_keys: np.ndarray,
        word_of_node: np.ndarray,
        best_of_node: np.ndarray,
        unigram: np.ndarray,
        pair_keys: np.ndarray,
        pair: np.ndarray,
    ) -> None:
        """Take the arrays.

        Args:
            child_keys: int32 [node - 1], ascending. The child whose key is at i is node i + 1.
            word_of_node: int32 [node], the word that ends there, or `NO_WORD`.
            best_of_node: float [node], the log-probability of the likeliest word from there on.
            unigram: float [word], log-probabilities.
            pair_keys: int64 [pair], ascending.
            pair: float [pair], log-probability of the second word after the first.
        """
        self._child_keys = array("i", child_keys.astype(np.int32).tobytes())
        self._word_of_node = array("i", word_of_node.astype(np.int32).tobytes())
        self._best_of_node = array("f", best_of_node.astype(np.float32).tobytes())
        self._unigram = array("f", unigram.astype(np.float32).tobytes())
        self._pair_keys = array("q", pair_keys.astype(np.int64).tobytes())
        self._pair = array("f", pair.astype(np.float32).tobytes())

    def child(self, node: int, letter: int) -> int:
        """The node after one more letter, an index into `LETTERS`."""
        if node == NOWHERE:
            return NOWHERE
        key = node * FAN_OUT + letter
        i = bisect_left(self._child_keys, key)
        found = i < len(self._child_keys) and self._child_keys[i] == key
        return i + 1 if found else NOWHERE

    def word(self, node: int) -> int:
        """The word that ends at a node, or `NO_WORD`."""
        return NO_WORD if node == NOWHERE else self._word_of_node[node]

    def beginning(self, node: int, n_letters: int) -> float:
        """How likely any word is that begins so, at best."""
        if node == NOWHERE:
            return UNKNOWN + UNKNOWN_LETTER * n_letters
        return self._best_of_node[node]

    def after(self, first: int, second: int, n_letters: int) -> float:
        """How likely a word is after another; either may be `NO_WORD`.

        Args:
            first: The word before; `NO_WORD` at the beginning and after what is no word.
            second: The word.
            n_letters: How many letters it has.
        """
        if second == NO_WORD:
            return UNKNOWN + UNKNOWN_LETTER * n_letters
        if first == NO_WORD:
            return self._unigram[second]
        key = first * PAIR + second
        i = bisect_left(self._pair_keys, key)
        if i < len(self._pair_keys) and self._pair_keys[i] == key:
            return self._pair[i]
        return BACKOFF + self._unigram[second]


@functools.cache
def english() -> LanguageModel:
    """The model in the package; 0.05 s when it is first asked for."""
    with (resources.files("streamer") / "english" / "words.npz").open("rb") as file:
        return LanguageModel(**np.load(file))
