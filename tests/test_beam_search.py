"""The likeliest text is found, and where it is in the sound."""

from __future__ import annotations

import gc
import math
import sys
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import beam_search
from streamer.alignment import align
from streamer.beam_search import PER_WORD, WEIGHT, BeamSearch, search_for
from streamer.decoder import FrameGrid, Heard, decode
from streamer.language_model import (
    BACKOFF,
    LETTERS,
    NO_WORD,
    NOWHERE,
    ROOT,
    UNKNOWN,
    UNKNOWN_LETTER,
    LanguageModel,
    english,
)
from streamer.models.labels import WAV2VEC2_LABELS, Labels

RECIPE = Path(__file__).parents[1] / "scripts" / "starter"
LABELS = Labels.from_symbols(["<pad>", "|", "<unk>", "A", "B"])
WORDS = {"A": 0.5, "AB": 0.3, "BA": 0.2}
PAIRS = {("A", "AB"): 0.9, ("AB", "AB"): 0.01}


@pytest.fixture(scope="module")
def small() -> LanguageModel:
    """A language of three words, written by the recipe that wrote the one in the package."""
    sys.path.insert(0, str(RECIPE))
    try:
        from language import tables
    finally:
        sys.path.remove(str(RECIPE))
    return LanguageModel(**tables(WORDS, PAIRS))


def random_log_probs(n_frames: int, seed: int) -> np.ndarray:
    logits = 2 * np.random.default_rng(seed).normal(size=(n_frames, len(LABELS.symbols)))
    logits[:, 2] = -100.0
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits.astype(np.float32)


def node_of(model: LanguageModel, word: str) -> int:
    node = ROOT
    for letter in word:
        node = model.child(node, LETTERS.index(letter))
    return node


def language_score(text: list[str]) -> float:
    score = 0.0
    for before, word in zip([None, *text], text, strict=False):
        if word not in WORDS:
            log_prob = UNKNOWN + UNKNOWN_LETTER * len(word)
        elif before not in WORDS:
            log_prob = math.log(WORDS[word])
        else:
            pair = PAIRS.get((before, word))
            log_prob = math.log(pair) if pair else BACKOFF + math.log(WORDS[word])
        score += WEIGHT * log_prob + PER_WORD
    return score


def scores(log_probs: np.ndarray) -> dict[tuple[str, ...], float]:
    """The definition: all texts, with how likely their paths and their words together are."""
    totals: dict[tuple[str, ...], float] = {}
    for path in product([0, 1, 3, 4], repeat=len(log_probs)):
        merged = [label for label, _ in groupby(path) if label]
        words = "".join("|" if label == 1 else LABELS.symbols[label] for label in merged)
        text = tuple(word for word in words.split("|") if word)
        p = math.exp(sum(float(log_probs[i, label]) for i, label in enumerate(path)))
        totals[text] = totals.get(text, 0.0) + p
    return {text: math.log(p) + language_score(list(text)) for text, p in totals.items()}


@given(n_frames=st.integers(1, 5), seed=st.integers(0, 999))
def test_with_room_for_all_texts_the_best_of_all_is_found(
    small: LanguageModel, n_frames: int, seed: int
) -> None:
    log_probs = random_log_probs(n_frames, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam_search, "BEHIND", math.inf)
        labels = BeamSearch(LABELS, small, width=10_000, least=-50.0).best(log_probs)
    written = "".join(LABELS.symbols[label] for label in labels)
    of_all = scores(log_probs)
    found = of_all[tuple(word for word in written.split("|") if word)]
    assert found == pytest.approx(max(of_all.values()), abs=0.01)  # kept in half precision


def test_nothing_is_left_for_the_garbage_collector(small: LanguageModel) -> None:
    search = BeamSearch(LABELS, small)
    gc.collect()
    gc.disable()
    try:
        search.best(random_log_probs(50, seed=0))
        assert gc.collect() == 0
    finally:
        gc.enable()


@given(n_frames=st.integers(1, 6), seed=st.integers(0, 999), text=st.lists(st.sampled_from("|AB")))
def test_the_alignment_is_the_likeliest_of_all(n_frames: int, seed: int, text: list[str]) -> None:
    log_probs = random_log_probs(n_frames, seed)
    wanted = [LABELS.symbols.index(symbol) for symbol in text]
    paths = [
        path
        for path in product([0, 1, 3, 4], repeat=n_frames)
        if [label for label, _ in groupby(path) if label] == wanted
    ]
    if not paths:  # too many labels for the frames
        assert align(log_probs, wanted, blank=0) is None
        return
    best = max(paths, key=lambda p: sum(float(log_probs[i, label]) for i, label in enumerate(p)))
    runs, at = [], 0
    for label, run in groupby(best):
        length = len(list(run))
        runs += [(label, at, at + length)] if label else []
        at += length
    found = align(log_probs, wanted, blank=0)
    assert found is not None
    assert found.runs == runs
    score = sum(float(log_probs[i, label]) for i, label in enumerate(best))
    assert found.log_prob == pytest.approx(score, abs=1e-4)


def test_the_tree_and_the_pairs_hold_what_was_put_in(small: LanguageModel) -> None:
    a, ab, ba = (small.word(node_of(small, word)) for word in WORDS)
    assert sorted([a, ab, ba]) == [0, 1, 2]
    assert small.word(node_of(small, "B")) == NO_WORD
    assert node_of(small, "BB") == node_of(small, "BBA") == NOWHERE
    assert small.beginning(node_of(small, "B"), 1) == pytest.approx(math.log(0.2), abs=1e-3)
    assert small.beginning(NOWHERE, 2) == UNKNOWN + 2 * UNKNOWN_LETTER
    assert small.after(a, ab, 2) == pytest.approx(math.log(0.9), abs=1e-3)
    assert small.after(a, ba, 2) == pytest.approx(BACKOFF + math.log(0.2), abs=1e-3)
    assert small.after(NO_WORD, a, 1) == pytest.approx(math.log(0.5), abs=1e-3)


def heard(text: str, doubt: dict[int, str]) -> np.ndarray:
    """Frames that say `text` clearly, but for a doubt between letters at some places."""
    symbols = WAV2VEC2_LABELS.symbols
    rows = []
    for i, symbol in enumerate(text.replace(" ", "|")):
        probs = np.full(len(symbols), 1e-4)
        probs[symbols.index(symbol)] = 0.6 if i in doubt else 0.99
        if i in doubt:
            probs[symbols.index(doubt[i])] = 0.35
        blank = np.full(len(symbols), 1e-4)
        blank[0] = 0.99
        rows += [probs, blank]
    found = np.array(rows)
    return np.log(found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def text_of(log_probs: np.ndarray, search: BeamSearch | None) -> str:
    grid = FrameGrid(hop=320, receptive_field=400)
    words = decode(Heard(log_probs), WAV2VEC2_LABELS, grid, 10**6, search)
    return " ".join(word.text for word in words)


@pytest.mark.parametrize(
    ("text", "doubt", "meant"),
    [
        ("THE TRAIN WAS LATT", {17: "E"}, "THE TRAIN WAS LATE"),  # is no word
        ("ALL THE TINE", {10: "M"}, "ALL THE TIME"),  # is one, but hardly here
        ("MISTER ZQUORVIG", {}, "MISTER ZQUORVIG"),  # is none, but was said clearly
        ("X Y Z", {}, "X Y Z"),
    ],
)
def test_english_decides_where_letters_are_in_doubt(
    text: str, doubt: dict[int, str], meant: str
) -> None:
    log_probs = heard(text, doubt)
    assert text_of(log_probs, None) == text
    assert text_of(log_probs, search_for(WAV2VEC2_LABELS)) == meant


def test_only_labels_that_write_english_are_searched() -> None:
    assert search_for(WAV2VEC2_LABELS) is not None
    lower = Labels.from_symbols(["[PAD]", "|", *map(str.lower, LETTERS)])
    assert search_for(lower) is not None
    assert search_for(LABELS) is None
    assert search_for(Labels.from_symbols(["<pad>", "|", *LETTERS, "Ä"])) is None


def test_the_package_knows_english() -> None:
    model = english()
    of, the, zebra = (model.word(node_of(model, word)) for word in ("OF", "THE", "ZEBRA"))
    assert NO_WORD not in (of, the, zebra)
    assert model.word(node_of(model, "DON'T")) != NO_WORD
    assert model.after(of, the, 3) > model.after(of, zebra, 5)
    assert node_of(model, "ZQ") == NOWHERE
