"""Text that a model writes by itself: how it is spelled, laid over the sound, and doubted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from streamer.alignment import LogProbs
from streamer.decoder import FrameGrid, Heard, decode
from streamer.models.labels import WAV2VEC2_LABELS, Labels
from streamer.second_pass import ends_sentence, marks_of, spell, with_marks, without_marks

GRID = FrameGrid(hop=320, receptive_field=400)


def said(letters: str, probability: float = 0.9) -> LogProbs:
    """Frames that say these letters, `_` for a blank and `|` between words."""
    symbols = WAV2VEC2_LABELS.symbols
    best = [0 if letter == "_" else symbols.index(letter) for letter in letters]
    probs = np.full((len(best), len(symbols)), (1 - probability) / (len(symbols) - 1))
    probs[np.arange(len(best)), best] = probability
    return np.log(probs).astype(np.float32)


def heard(log_probs: LogProbs, text: str | None, confidence: float = 0.9) -> Heard:
    """A second pass that is as sure of each word."""
    return Heard(log_probs, text, (confidence,) * len((text or "").split()))


def words(letters: str, text: str | None, confidence: float = 0.9) -> list[tuple[str, str]]:
    found = decode(heard(said(letters), text, confidence), WAV2VEC2_LABELS, GRID, 10**6)
    return [(word.text, word.written) for word in found]


def spelled(text: str) -> tuple[str, tuple[str, ...]]:
    found = spell(text, [0.9] * len(text.split()), WAV2VEC2_LABELS)
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
        ("In short,, or , no", "IN|SHORT|OR|NO", ("In", "short,", "or,", "no")),
    ],
)
def test_a_text_is_spelled_as_it_is_said(text: str, letters: str, written: tuple[str]) -> None:
    assert spelled(text) == (letters, written)


def test_labels_in_lower_case_spell_it_too() -> None:
    labels = Labels.from_symbols(["<pad>", "|", "o", "n"])
    assert spell("No, on", [0.9, 0.9], labels).labels == (3, 2, 1, 2, 3)


def test_what_was_written_has_the_times_of_what_was_heard() -> None:
    letters = "_NO__|_OH_"
    plain = decode(Heard(said(letters)), WAV2VEC2_LABELS, GRID, 10**6)
    found = decode(heard(said(letters), "No, oh."), WAV2VEC2_LABELS, GRID, 10**6)
    assert [word.written for word in found] == ["No,", "oh."]
    assert [(w.text, w.start, w.stop) for w in found] == [(w.text, w.start, w.stop) for w in plain]


def test_a_likely_spelling_is_believed_though_other_letters_were_heard() -> None:
    heard_as = "_N_I_H_T|F_A_L_S_"
    assert words(heard_as, "Night falls.") == [("NIGHT", "Night"), ("FALLS", "falls.")]
    assert words(heard_as, "Night falls.", confidence=0.5) == [("NIHT", ""), ("FALS", "")]
    doubtful = said("NIGHT|FALZ", probability=0.3)
    found = decode(heard(doubtful, "Night fals."), WAV2VEC2_LABELS, GRID, 10**6)
    assert [word.text for word in found] == ["NIGHT", "FALS"]


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for watching.",  # was not said
        "One. One. One. One. One.",  # more than there is time for
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


@pytest.mark.parametrize(
    ("written", "word", "marks"),
    [
        ("p.m.", "p.m.", ""),
        ("p.m..", "p.m.", "."),
        ("D.C.,", "D.C.", ","),
        ("J.", "J.", ""),
        ("Mr.", "Mr.", ""),
        ("I.", "I", "."),
        ("a.", "a", "."),
        ("so...", "so", "..."),
        ("U.S", "U.S", ""),
    ],
)
def test_the_point_of_an_abbreviation_is_a_part_of_it(written: str, word: str, marks: str) -> None:
    assert (without_marks(written), marks_of(written)) == (word, marks)
    assert ends_sentence(written) == marks.startswith(".")


def test_of_two_points_one_is_enough() -> None:
    assert with_marks("p.m.", "..") == with_marks("p.m.", ".") == "p.m."
    assert with_marks("p.m.", ",") == "p.m.,"
    assert with_marks("so", "...") == "so..."


def test_a_written_word_is_doubted_when_neither_pass_is_sure() -> None:
    for confidence, is_doubted in ((0.3, True), (0.7, False)):
        (word,) = decode(heard(said("_NO_", 0.8), "No.", confidence), WAV2VEC2_LABELS, GRID, 10**6)
        assert (word.written, word.is_doubted) == ("No.", is_doubted)


def test_confidence_is_the_mean_of_both_passes() -> None:
    both = Heard(said("__NO_|_OH_|LA_", 0.8), "No, oh-la.", (0.8, 0.36))
    found = decode(both, WAV2VEC2_LABELS, GRID, 10**6)
    assert [(word.text, round(word.confidence, 3)) for word in found] == [
        ("NO", 0.8),
        ("OH", 0.7),
        ("LA", 0.7),
    ]
    # Where another text is taken, only CTC has heard it.
    doubted = decode(Heard(said("__NO_", 0.8), "Thanks.", (0.1,)), WAV2VEC2_LABELS, GRID, 10**6)
    assert [(word.text, round(word.confidence, 3)) for word in doubted] == [("NO", 0.8)]


@pytest.mark.parametrize(
    ("letters", "text", "confidences", "expected"),
    [
        # The sound breaks off in mid-word, and the text goes wrong there.
        ("_NIGHT|FAL_LS|O", "Night falls over town.", (0.9, 0.9, 0.9, 0.9), "Night falls O"),
        ("_NIGHT|FAL_LS|O", "Night comes quickly.", (0.9,) * 3, "Night FALLS O"),
        ("_NIGHT|FAL_LS|ON_|US_", "Night falls, falls.", (0.9, 0.9, 0.3), "Night falls, ON US"),
        # What follows has no beginning of its own: it is the last word, heard otherwise.
        ("_NIGHTS_", "Night will come to us all.", (0.9,) * 6, "Night"),
        ("_NIGHTS|FAL_L_", "Night will come to us all.", (0.9,) * 6, "Night FALL"),
        ("_NIGHT|FAL_LS_", "Day broke.", (0.9, 0.9), "NIGHT FALLS"),
    ],
)
def test_what_fits_of_a_text_is_believed_and_ctc_goes_on(
    letters: str, text: str, confidences: tuple[float, ...], expected: str
) -> None:
    found = decode(Heard(said(letters), text, confidences), WAV2VEC2_LABELS, GRID, 10**6)
    assert " ".join(word.written or word.text for word in found) == expected
    assert [word.is_doubted for word in found] == [not word.written for word in found]
    assert all(a.stop <= b.start for a, b in pairwise(found))
