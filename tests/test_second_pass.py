"""Text that a model writes by itself: how it is spelled, laid over the sound, and doubted."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.alignment import LogProbs
from streamer.decoder import FrameGrid, Heard, decode
from streamer.models.labels import WAV2VEC2_LABELS, Labels
from streamer.second_pass import ends_sentence, marks_of, spell, without_marks

GRID = FrameGrid(hop=320, receptive_field=400)


def said(letters: str, probability: float = 0.9) -> LogProbs:
    """Frames that say these letters, `_` for a blank and `|` between words."""
    symbols = WAV2VEC2_LABELS.symbols
    best = [0 if letter == "_" else symbols.index(letter) for letter in letters]
    probs = np.full((len(best), len(symbols)), (1 - probability) / (len(symbols) - 1))
    probs[np.arange(len(best)), best] = probability
    return np.log(probs).astype(np.float32)


def words(letters: str, text: str | None) -> list[tuple[str, str]]:
    found = decode(Heard(said(letters), text), WAV2VEC2_LABELS, GRID, 10**6)
    return [(word.text, word.written) for word in found]


def spelled(text: str) -> tuple[str, tuple[str, ...]]:
    found = spell(text, WAV2VEC2_LABELS)
    return "".join(WAV2VEC2_LABELS.symbols[label] for label in found.labels), found.written


@pytest.mark.parametrize(
    ("text", "letters", "written"),
    [
        ("", "", ()),
        ("Well, I'm here.", "WELL|I'M|HERE", ("Well,", "I'm", "here.")),
        ("a grass-widow", "A|GRASS|WIDOW", ("a", "grass", "widow")),
        ("Mr. Smith - no!", "MISTER|SMITH|NO", ("Mr.", "Smith", "no!")),
        ("So ... yes", "SO|YES", ("So...", "yes")),
        ("... yes", "YES", ("yes",)),
    ],
)
def test_a_text_is_spelled_as_it_is_said(text: str, letters: str, written: tuple[str]) -> None:
    assert spelled(text) == (letters, written)


def test_labels_in_lower_case_spell_it_too() -> None:
    labels = Labels.from_symbols(["<pad>", "|", "o", "n"])
    assert spell("No, on", labels).labels == (3, 2, 1, 2, 3)


def test_what_was_written_has_the_times_of_what_was_heard() -> None:
    letters = "_NO__|_OH_"
    plain = decode(Heard(said(letters)), WAV2VEC2_LABELS, GRID, 10**6)
    found = decode(Heard(said(letters), "No, oh."), WAV2VEC2_LABELS, GRID, 10**6)
    assert [word.written for word in found] == ["No,", "oh."]
    assert [(w.text, w.start, w.stop) for w in found] == [(w.text, w.start, w.stop) for w in plain]


def test_a_likely_spelling_is_believed_though_other_letters_were_heard() -> None:
    assert words("_N_I_H_T|F_A_L_S_", "Night falls.")[0] == ("NIHT", "")  # four times as unlikely
    doubtful = said("NIGHT|FALZ", probability=0.3)
    found = decode(Heard(doubtful, "Night fals."), WAV2VEC2_LABELS, GRID, 10**6)
    assert [word.text for word in found] == ["NIGHT", "FALS"]


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for watching.",  # was not said
        "No. No. No. No. No. No.",  # more than there is time for
        "",  # though something was said
    ],
)
def test_what_does_not_fit_the_sound_is_not_believed(text: str) -> None:
    assert words("__NO___|__OH__", text) == [("NO", ""), ("OH", "")]


def test_nothing_written_over_silence_is_nothing() -> None:
    assert words("________", "") == []


def test_sentences_end_behind_marks_but_not_behind_abbreviations() -> None:
    assert [ends_sentence(word) for word in ("so.", "so?", "so!", "so...")] == [True] * 4
    assert [ends_sentence(word) for word in ("so", "so,", "Mr.", "Mrs.", "")] == [False] * 5
    assert (without_marks("so?!"), marks_of("so?!"), marks_of("don't")) == ("so", "?!", "")
