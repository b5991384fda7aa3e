from __future__ import annotations

from dataclasses import replace
from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.alignment import LogProbs
from streamer.decoder import DecodedWord, FrameGrid, Heard, decode, longest_gap, spoken
from streamer.models.labels import Labels
from streamer.settings import NoiseGate, to_samples

LABELS = Labels.from_symbols(["<pad>", "|", "<unk>", "A", "B"])
GRID = FrameGrid(hop=320, receptive_field=400)


def log_softmax(logits: np.ndarray) -> LogProbs:
    normalised = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return normalised.astype(np.float32)


def random_log_probs(n_frames: int, seed: int) -> LogProbs:
    rng = np.random.default_rng(seed)
    return log_softmax(3 * rng.normal(size=(n_frames, len(LABELS.symbols))))


def path(picture: str, probability: float = 0.9) -> LogProbs:
    """Log-probabilities whose best path is the picture: `_` blank, `|`, `?` unknown, A, B."""
    probs = np.full((len(picture), 5), (1 - probability) / 4)
    probs[np.arange(len(picture)), ["_|?AB".index(character) for character in picture]] = (
        probability
    )
    return np.log(probs).astype(np.float32)


def n_samples_of(n_frames: int) -> int:
    return n_frames * GRID.hop + GRID.receptive_field - GRID.hop


def decoded(picture: str) -> list[DecodedWord]:
    return decode(Heard(path(picture)), LABELS, GRID, n_samples_of(len(picture)))


def collapse(labels: tuple[int, ...]) -> list[str]:
    """The definition: merge repeats, drop what is silent, split at word boundaries."""
    merged = [label for label, _ in groupby(labels)]
    text = "".join(LABELS.symbols[label] for label in merged if label not in LABELS.silent)
    return [word for word in text.split("|") if word]


@given(n_frames=st.integers(0, 5), seed=st.integers(0, 999))
def test_the_words_are_the_collapse_of_the_most_probable_of_all_paths(
    n_frames: int, seed: int
) -> None:
    log_probs = random_log_probs(n_frames, seed)
    paths = product(range(5), repeat=n_frames)
    best = max(paths, key=lambda p: sum(float(log_probs[i, label]) for i, label in enumerate(p)))
    words = decode(Heard(log_probs), LABELS, GRID, n_samples_of(n_frames))
    assert [word.text for word in words] == collapse(best)


@given(n_frames=st.integers(0, 60), seed=st.integers(0, 999), n_cut=st.integers(0, 2000))
def test_words_are_in_order_and_inside_the_sound(n_frames: int, seed: int, n_cut: int) -> None:
    n_samples = max(0, n_samples_of(n_frames) - n_cut)
    words = decode(Heard(random_log_probs(n_frames, seed)), LABELS, GRID, n_samples)
    edges = [0, *(edge for word in words for edge in (word.start, word.stop)), n_samples]
    assert edges == sorted(edges)
    assert all(0.0 < word.confidence <= 1.0 for word in words)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("", []),
        ("____", []),
        ("||||", []),
        ("AAAA", ["A"]),
        ("AA_A", ["AA"]),
        ("A?A", ["AA"]),
        ("_AB_|_B|", ["AB", "B"]),
        ("|A||B|", ["A", "B"]),
        ("A_|_|_B", ["A", "B"]),
        ("??", []),
    ],
)
def test_repeats_merge_unless_something_silent_is_between(picture: str, words: list[str]) -> None:
    assert [word.text for word in decoded(picture)] == words


def test_a_word_lasts_from_its_first_letter_to_the_end_of_its_last() -> None:
    (word,) = decoded("__AA_B__|_")
    middle = (GRID.receptive_field - GRID.hop) // 2
    assert (word.start, word.stop) == (2 * 320 + middle, 6 * 320 + middle)


def test_confidence_is_the_geometric_mean_of_the_letters_peaks() -> None:
    log_probs = np.concatenate([path("A", 0.5), path("A", 0.8), path("_", 0.3), path("B", 0.2)])
    # 0.2 is as probable as the others in its frame: make it the best.
    log_probs[3] = np.log([0.15, 0.15, 0.15, 0.15, 0.4])
    (word,) = decode(Heard(log_probs), LABELS, GRID, n_samples_of(4))
    assert word.confidence == pytest.approx((0.8 * 0.4) ** 0.5)


def test_shifted_words_only_change_their_times() -> None:
    word = DecodedWord("A", 10, 20, 0.5)
    assert word.shifted(100) == DecodedWord("A", 110, 120, 0.5)


def spans(*edges: tuple[int, int]) -> list[DecodedWord]:
    return [DecodedWord("A", start, stop, 1.0) for start, stop in edges]


def test_the_longest_pause_is_found() -> None:
    words = spans((10, 20), (30, 40), (60, 70), (75, 80))
    assert longest_gap(words, 0, 0, 85) == (40, 60)


def test_of_equally_long_pauses_the_first_is_taken() -> None:
    assert longest_gap(spans((0, 10), (20, 30), (40, 50)), 0, 0, 55) == (10, 20)


def test_the_pause_after_the_last_word_counts() -> None:
    assert longest_gap(spans((0, 10), (20, 30)), 0, 0, 100) == (30, 100)


def test_a_pause_before_the_window_does_not_count() -> None:
    assert longest_gap(spans((0, 10), (90, 120), (130, 200)), 0, 100, 205) == (120, 130)


def test_of_a_pause_across_the_beginning_of_the_window_the_rest_counts() -> None:
    assert longest_gap(spans((0, 10), (104, 120), (130, 200)), 0, 100, 205) == (120, 130)
    assert longest_gap(spans((0, 10), (115, 120), (130, 200)), 0, 100, 205) == (100, 115)


def test_the_pause_before_the_first_word_counts() -> None:
    assert longest_gap(spans((500, 600)), 100, 0, 605) == (100, 500)
    assert longest_gap(spans((110, 120)), 0, 0, 100) == (0, 110)


@pytest.mark.parametrize("words", [[], spans((0, 120))])
def test_without_a_pause_there_is_none(words: list[DecodedWord]) -> None:
    assert longest_gap(words, 0, 0, 100) is None


def said(*words: tuple[str, float], pause_s: float = 0.1) -> list[DecodedWord]:
    """Words of the given confidence, half a second long."""
    step = to_samples(0.5 + pause_s)
    return [
        DecodedWord(text, i * step, i * step + to_samples(0.5), confidence)
        for i, (text, confidence) in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("text", "confidence", "is_spoken"),
    [
        ("A", 0.975, True),
        ("A", 0.965, False),
        ("FOUR", 0.86, True),
        ("FOUR", 0.84, False),
        ("EXTRAORDINARY", 0.66, True),
        ("EXTRAORDINARY", 0.64, False),
        ("A", 0.0, False),
    ],
)
def test_the_fewer_letters_the_surer_they_must_be(
    text: str, confidence: float, is_spoken: bool
) -> None:
    words = said((text, confidence))
    assert spoken(words, NoiseGate()) == (words if is_spoken else [])


def test_words_that_both_passes_are_sure_of_need_not_be_many() -> None:
    letters = said(("E", 0.71), ("R", 0.69), ("I", 0.69), ("C", 0.6))
    agreed = [replace(word, written=word.text) for word in letters]
    assert spoken(agreed, NoiseGate()) == agreed
    partly = [replace(word, is_doubted=word.text != "R") for word in agreed]
    assert spoken(partly, NoiseGate()) == partly
    assert spoken([replace(word, is_doubted=True) for word in agreed], NoiseGate()) == []
    assert spoken(letters, NoiseGate()) == []  # of a model without a second pass
    murmured = [replace(word, confidence=0.39) for word in agreed]
    assert spoken(murmured, NoiseGate()) == []


def test_an_unsure_word_beside_sure_ones_was_said() -> None:
    words = said(("THE", 0.99), ("QUIK", 0.4), ("FOX", 0.99))
    assert spoken(words, NoiseGate()) == words


def test_an_unsure_word_by_itself_was_not() -> None:
    words = said(("STOP", 0.99), ("O", 0.4), pause_s=1.1)
    assert spoken(words, NoiseGate()) == words[:1]
    assert spoken(words, NoiseGate(phrase_pause_s=2.0)) == words


def test_a_sure_beginning_stays_whatever_follows() -> None:
    words = said(("STOP", 0.95), *[("O", 0.2)] * 9)
    for n_words in range(1, len(words) + 1):
        assert spoken(words[:n_words], NoiseGate()) == words[:n_words]
    words = said(("STOPPING", 0.85), *[("O", 0.2)] * 9)
    assert spoken(words[:1], NoiseGate()) == words[:1]
    assert spoken(words, NoiseGate()) == []


def test_many_unsure_words_are_no_more_than_one() -> None:
    assert spoken(said(*[("THAT", 0.6)] * 20), NoiseGate()) == []


def test_the_gate_can_be_left_open() -> None:
    words = said(("O", 0.0), ("E", 0.2))
    words += [replace(words[0], is_doubted=True)]
    words += [replace(words[0], written="O")]
    gate = NoiseGate(
        lone_letter_confidence=0.0,
        doubt_per_letter=0.0,
        least_confidence=0.0,
    )
    assert spoken(words, gate) == words
