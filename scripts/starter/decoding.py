"""Greedy decoding and word error rates, with the network in Keras."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from batches import SAMPLE_RATE
from keras import ops
from labels import greedy_text
from network import Network, n_frames_of
from rapidfuzz.distance import Levenshtein
from shards import Example

# Utterances are padded to one of these lengths in seconds; JAX compiles each anew.
LENGTHS_S = (3, 6, 10, 15, 21, 36)


@dataclass(slots=True)
class Score:
    """How well one kind of speech was heard.

    Attributes:
        n_utterances: How many utterances were given.
        n_words: How many words were said in them.
        n_errors: Words left out, put in or replaced; in noise, words written.
    """

    n_utterances: int = 0
    n_words: int = 0
    n_errors: int = 0

    @property
    def word_error_rate(self) -> float:
        """In per cent; of noise, in which nothing is said, words written for 100 recordings."""
        return 100 * self.n_errors / (self.n_words or self.n_utterances)


def log_probs(network: Network, samples: np.ndarray) -> np.ndarray:
    """Log-probabilities of one utterance, int16 or float32 in [-1, 1] -> float32 [frame, label]."""
    n = len(samples)
    length = next((SAMPLE_RATE * s for s in LENGTHS_S if SAMPLE_RATE * s >= n), n)
    padded = np.zeros((1, length), np.float32)
    padded[0, :n] = samples / np.float32(32_768) if samples.dtype == np.int16 else samples
    found = network({"waveforms": padded, "valid": np.array([n], np.int32)})
    return ops.convert_to_numpy(found["log_probs"])[0, : n_frames_of(n)]


def score(network: Network, examples: Iterable[Example]) -> dict[str, Score]:
    """Transcribe every example and count the errors of each subset."""
    scores: dict[str, Score] = {}
    for example in examples:
        said = example.transcript.split()
        heard = greedy_text(log_probs(network, example.samples).argmax(-1)).split()
        found = scores.setdefault(example.subset, Score())
        found.n_utterances += 1
        found.n_words += len(said)
        found.n_errors += Levenshtein.distance(said, heard)
    return dict(sorted(scores.items()))
