"""What the columns of the log-probabilities stand for: the labels of wav2vec2-960h."""

from __future__ import annotations

from itertools import groupby

import numpy as np

SYMBOLS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
LABEL_OF = {symbol: i for i, symbol in enumerate(SYMBOLS)} | {" ": 4}


def labels_of(transcript: str) -> list[int]:
    """The labels that write a transcript."""
    return [LABEL_OF[c] for c in transcript]


def greedy_text(labels: np.ndarray) -> str:
    """The text that the best label of every frame writes, int [frame]."""
    symbols = (SYMBOLS[label] for label, _ in groupby(labels.tolist()) if label > 3)
    return " ".join("".join(symbols).replace("|", " ").split())
