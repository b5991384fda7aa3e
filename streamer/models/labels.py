"""The alphabet of an acoustic model: what each column of its log-probabilities stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamer.errors import ModelError


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a CTC model, in the order of its outputs.

    Attributes:
        symbols: One string a label.
        blank: Index of the CTC blank.
        word_boundary: Index of the label between two words.
        silent: Labels that are never written, among them the blank.
    """

    symbols: tuple[str, ...]
    blank: int
    word_boundary: int
    silent: frozenset[int]

    @classmethod
    def from_symbols(
        cls,
        symbols: Sequence[str],
        *,
        blank: int | None = None,
        word_boundary: int | None = None,
    ) -> Labels:
        """Find the special labels by the names that wav2vec 2.0 checkpoints give them.

        Args:
            symbols: One string a label.
            blank: Index of the CTC blank, where it is known.
            word_boundary: Index of the label between two words, where it is known.

        Raises:
            ModelError: There is no blank (`<pad>`) or no word boundary (`|` or a space).
        """
        blanks = [i for i, s in enumerate(symbols) if s in ("<pad>", "[PAD]", "<blank>")]
        boundaries = [i for i, s in enumerate(symbols) if s in ("|", " ")]
        blank = next(iter(blanks), None) if blank is None else blank
        boundary = next(iter(boundaries), None) if word_boundary is None else word_boundary
        if blank is None or boundary is None:
            raise ModelError(
                "A model's labels need a blank named '<pad>' and a word boundary named '|', "
                f"but these were found: {' '.join(map(repr, symbols))}. Correct labels.json, or "
                "vocab.json of a checkpoint from Hugging Face."
            )
        special = {i for i, s in enumerate(symbols) if len(s) > 2 and s[0] + s[-1] in ("<>", "[]")}
        return cls(tuple(symbols), blank, boundary, frozenset(special | {blank}))

    def text(self, labels: Iterable[int]) -> str:
        """What labels write one after another, with a space between words."""
        return "".join(
            " " if label == self.word_boundary else self.symbols[label]
            for label in labels
            if label not in self.silent
        )


# https://huggingface.co/facebook/wav2vec2-base-960h/blob/main/vocab.json
WAV2VEC2_LABELS = Labels.from_symbols(
    ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
)
