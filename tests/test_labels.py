from __future__ import annotations

import pytest

from streamer import ModelError
from streamer.models.labels import WAV2VEC2_LABELS, Labels


def test_the_alphabet_of_wav2vec2_is_in_the_order_of_its_outputs() -> None:
    labels = WAV2VEC2_LABELS
    assert len(labels.symbols) == 32
    assert (labels.blank, labels.word_boundary) == (0, 4)
    assert labels.silent == {0, 1, 2, 3}
    assert "".join(labels.symbols[5:]) == "ETAONIHSRDLUMWCFGYPBVK'XJQZ"


@pytest.mark.parametrize("blank", ["<pad>", "[PAD]", "<blank>"])
@pytest.mark.parametrize("boundary", ["|", " "])
def test_special_labels_are_found_under_every_usual_name(blank: str, boundary: str) -> None:
    labels = Labels.from_symbols(["A", boundary, blank])
    assert (labels.blank, labels.word_boundary) == (2, 1)


def test_special_labels_are_never_written() -> None:
    labels = Labels.from_symbols(["<pad>", "|", "<unk>", "[UNK]", "<s>", "A", "<", ">", "[", "]"])
    assert labels.silent == {0, 2, 3, 4}


@pytest.mark.parametrize("symbols", [["|", "A"], ["<pad>", "A"], []])
def test_an_alphabet_that_cannot_be_decoded_is_refused(symbols: list[str]) -> None:
    with pytest.raises(ModelError, match=r"need a blank named '<pad>' and a word boundary"):
        Labels.from_symbols(symbols)
