#!/usr/bin/env python3
"""Make the language model in the package, from lists of words and from transcripts.

    pip download --no-deps symspellpy
    scripts/starter/language.py symspellpy-*.whl LibriSpeech/train-clean-100 LJSpeech

Most of it is `symspellpy`'s lists (MIT): how often 83,000 words and 242,000 pairs of them are
written, from Google's counts of books. Those lists have hardly any word with an apostrophe and few
of those that novels are made of: the transcripts that the network learns from add them.
"""

from __future__ import annotations

import argparse
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from corpus import read_folder

TARGET = Path(__file__).parents[2] / "streamer" / "english" / "words.npz"
UNIGRAMS = "symspellpy/frequency_dictionary_en_82_765.txt"
PAIRS = "symspellpy/frequency_bigramdictionary_en_243_342.txt"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"
FAN_OUT, PAIR = 32, 1 << 17  # as in streamer/language_model.py
WORD = re.compile(r"[A-Z']+")
# Part of the probability that comes from transcripts. 0.15 and 0.5 are worse on held-out speakers.
SHARE = 0.3
# What is taken off every count of a pair in the transcripts: most of those seen once are chance.
DISCOUNT = 0.75
# Each letter alone, at least; and how likely a letter follows a letter where something is spelled.
LETTER, SPELLED = 1.6e-4, 0.9 / 26


def read_lists(wheel: Path) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """How often words and pairs of words are written."""
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for fields in _lines(wheel, UNIGRAMS):
        words[fields[0]] += int(fields[1])
    for fields in _lines(wheel, PAIRS):
        if len(fields) == 3:
            pairs[fields[0], fields[1]] += int(fields[2])
    return words, pairs


def _lines(wheel: Path, name: str) -> Iterator[list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        for line in archive.read(name).decode("utf-8-sig").splitlines():
            fields = line.upper().split()
            if all(WORD.fullmatch(word) for word in fields[:-1]):
                yield fields


def probabilities(
    wheel: Path, transcripts: list[list[str]]
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Probability of each word, and of the second word of each pair after the first."""
    listed, listed_pairs = read_lists(wheel)
    said = Counter(word for transcript in transcripts for word in transcript)
    n_listed, n_said = sum(listed.values()), max(1, sum(said.values()))
    share = SHARE if said else 0.0
    words = {
        word: (1 - share) * listed[word] / n_listed + share * said[word] / n_said
        for word in listed.keys() | said.keys() | set(LETTERS[:26])
    }
    for letter in LETTERS[:26]:
        words[letter] = max(words[letter], LETTER)

    pairs: Counter[tuple[str, str]] = Counter()
    for pair, count in listed_pairs.items():
        if pair[0] in listed and pair[1] in listed:
            pairs[pair] += (1 - share) * count / n_listed
    said_pairs = Counter(pair for transcript in transcripts for pair in pairwise(transcript))
    for pair, count in said_pairs.items():
        pairs[pair] += share * max(0.0, count - DISCOUNT) / n_said
    after = {pair: p / words[pair[0]] for pair, p in pairs.items() if p > 0}
    for first in set(LETTERS[:26]) - set("AI"):  # These two are words.
        for second in LETTERS[:26]:
            after[first, second] = max(SPELLED, after.get((first, second), 0.0))
    return words, after


def tables(words: dict[str, float], pairs: dict[tuple[str, str], float]) -> dict[str, np.ndarray]:
    """The arrays of `streamer.language_model.LanguageModel`.

    Nodes are numbered level by level, children by their letters, so that their keys ascend.
    """
    names = sorted(words)
    number = {word: i for i, word in enumerate(names)}
    child_keys: list[int] = []
    word_of_node, best_of_node = [-1], [math.log(max(words.values()))]
    level = {"": 0}
    while level:
        n_letters = len(next(iter(level))) + 1
        best: Counter[str] = Counter()
        for word, p in words.items():
            if len(word) >= n_letters:
                best[word[:n_letters]] = max(best[word[:n_letters]], p)
        keys = {(level[b[:-1]] * FAN_OUT + LETTERS.index(b[-1])): b for b in best}
        level = {}
        for key in sorted(keys):
            beginning = keys[key]
            level[beginning] = len(word_of_node)
            child_keys.append(key)
            word_of_node.append(number.get(beginning, -1))
            best_of_node.append(math.log(best[beginning]))
    logs = {number[a] * PAIR + number[b]: math.log(min(1.0, p)) for (a, b), p in pairs.items()}
    pair_keys = sorted(logs)
    return {
        "child_keys": np.array(child_keys, np.int32),
        "word_of_node": np.array(word_of_node, np.int32),
        "best_of_node": np.array(best_of_node, np.float16),
        "unigram": np.array([math.log(words[name]) for name in names], np.float16),
        "pair_keys": np.array(pair_keys, np.int64),
        "pair": np.array([logs[key] for key in pair_keys], np.float16),
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path, help="of symspellpy")
    parser.add_argument("folders", type=Path, nargs="*", help="folders with transcripts")
    parser.add_argument("--only", nargs="*", help="subsets to take, by the beginnings of names")
    parser.add_argument("--target", type=Path, default=TARGET, help="file to write")
    arguments = parser.parse_args()
    transcripts = [
        WORD.findall(utterance.transcript.upper())
        for folder in arguments.folders
        for utterance in read_folder(folder)
        if arguments.only is None or utterance.subset.startswith(tuple(arguments.only))
    ]
    words, pairs = probabilities(arguments.wheel, transcripts)
    arrays = tables(words, pairs)
    np.savez_compressed(arguments.target, **arrays)
    print(
        f"{len(words)} words, {len(pairs)} pairs, {arguments.target.stat().st_size / 1e6:.1f} MB "
        f"in {arguments.target}"
    )


if __name__ == "__main__":
    main()
