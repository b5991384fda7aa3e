"""The decoder in the package writes what Moonshine's own program writes, whatever is guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from streamer import models
from streamer.models.attention_decoder import (
    BEGIN,
    BLOCK,
    END,
    AttentionDecoder,
    most_tokens,
)
from streamer.models.compiled import CompiledModel
from streamer.models.draft import draft
from streamer.models.starter import Starter, n_frames_of
from streamer.models.two_pass import TwoPassModel

WAVES = np.load(Path(__file__).parent / "data" / "starter_reference.npz")
# By ONNX Runtime, with the graphs of the wheel that the weights come from, greedily. Marks at the
# end differ: it also computes in eight bits.
WRITTEN = {
    "fox": "The quick brown fox jumps over the lazy dog",
    "window": "Please open the window and let some fresh air into the room. "
    "It is far too warm in here",
    "yes": "Worse",
}
ROOM = 48


@pytest.fixture(scope="module")
def network() -> Starter:
    return Starter.from_package()


def heard(network: Starter, name: str) -> tuple[tf.Tensor, tf.Tensor]:
    wave = WAVES[f"wave_{name}"]
    _, n_frames, states = network.hear(wave[None], np.array([len(wave)], np.int32))
    return states, n_frames


def write(
    network: Starter, name: str, guess: list[int], n_most: int = ROOM, padding: int = 0
) -> list[int]:
    states, n_frames = heard(network, name)
    memory = network.decoder.memory(states)
    memory = tf.pad(memory, [[0, 0], [0, 0], [0, padding], [0, 0]], constant_values=1e3)
    guessed = np.full(2 * ROOM, END, np.int32)
    guessed[: len(guess)] = guess
    tokens, _, n = network.decoder(
        memory, n_frames, tf.constant(guessed), tf.constant(n_most), room=ROOM
    )
    return list(tokens.numpy()[: int(n)].tolist())


@pytest.mark.parametrize("name", WRITTEN)
def test_the_text_is_that_of_moonshine(starter: CompiledModel, name: str) -> None:
    text = starter.hear(WAVES[f"wave_{name}"]).text
    assert text is not None
    assert text.rstrip(".,") == WRITTEN[name]


def test_guesses_change_nothing(network: Starter) -> None:
    expected = write(network, "window", [])
    assert len(expected) > 2 * BLOCK
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(expected).tolist()
    for guess in (
        [BEGIN, *expected],
        [BEGIN, *expected[:7], *expected[8:]],
        [BEGIN, *expected[:7], 99, *expected[7:]],
        [BEGIN, *shuffled],
        expected[::-1],
        [BEGIN, *expected, BEGIN, *shuffled],
    ):
        assert write(network, "window", guess) == expected


def test_it_ends_where_it_must_and_frames_beyond_the_valid_ones_change_nothing(
    network: Starter,
) -> None:
    expected = write(network, "fox", [])
    assert write(network, "fox", [], n_most=4) == expected[:4]
    assert write(network, "fox", [BEGIN, *expected], n_most=4) == expected[:4]
    assert write(network, "fox", [], padding=100) == expected


def test_numbers_are_written_as_words(network: Starter) -> None:
    decoder = network.decoder
    written = [
        token
        for token, penalty in zip(decoder.tokens, decoder._penalty, strict=True)
        if penalty == 0
    ]
    assert not any(c.isdigit() or c in '$%&*()"' for token in written for c in token)
    # Where a digit is the likeliest the text goes on; it ends only where the end is.
    digit, word, n = decoder.tokens.index("7"), decoder.tokens.index(" seven"), len(decoder.tokens)
    logits = np.zeros((2, n), np.float32)
    logits[:, [digit, END, word]] = [[3.0, 2.0, 1.0], [2.0, 3.0, 1.0]]
    assert decoder._choose(tf.constant(logits)).numpy().tolist() == [word, END]


def test_each_word_has_the_probability_of_its_letters_whatever_was_guessed(
    starter: CompiledModel,
) -> None:
    first = starter.hear(WAVES["wave_window"])
    assert first.text is not None
    assert len(first.confidences) == len(first.text.split()) == len(WRITTEN["window"].split())
    assert all(0.0 < confidence <= 1.0 for confidence in first.confidences)
    assert np.median(first.confidences) > 0.9
    guessed = starter.hear(WAVES["wave_window"])
    assert guessed.confidences == pytest.approx(first.confidences, rel=1e-3)


def test_confidences_are_those_of_the_words_that_blanks_part() -> None:
    tokens = ["", "", "", " no", "n", "e", ",", " ", " oh", "-la"]
    decoder = AttentionDecoder(lambda name: None, tokens)
    half = float(np.log(0.5))
    for written, expected in (
        ([3, 4, 5, 6, 8, 9], [0.125, 0.25]),
        ([4, 6, 6], [0.5]),
        ([7, 3, 7, 4], [0.5, 0.5]),
        ([], []),
    ):
        assert len(decoder.text(written).split()) == len(expected)
        found = decoder.confidences(written, [half] * len(written))
        assert found == pytest.approx(tuple(expected))


def test_a_guess_is_the_tokens_that_write_the_words(network: Starter) -> None:
    decoder = network.decoder
    text = "please open the window don't xylophonical"
    assert decoder.text(decoder.guess(text)) == text
    expected = write(network, "fox", [])
    assert (
        decoder.guess("quick brown fox jumps")
        == expected[1 : 1 + len(decoder.guess("quick brown fox jumps"))]
    )
    assert decoder.guess("") == []
    assert AttentionDecoder(lambda name: None, ["", "", "", "a"]).guess("€a") == [3]


@pytest.mark.parametrize("n_samples", [0, 1, 894])
def test_too_little_sound_writes_nothing(starter: CompiledModel, n_samples: int) -> None:
    found = starter.hear(np.zeros(n_samples, np.float32))
    assert (found.text, len(found.log_probs)) == ("", 0)


@pytest.mark.parametrize("n_samples", [895, 64_000, 64_001])
def test_every_length_is_heard_and_the_same_every_time(
    starter: CompiledModel, n_samples: int
) -> None:
    sound = np.resize(WAVES["wave_window"], n_samples)
    first, second = starter.hear(sound), starter.hear(sound)
    assert first.text == second.text
    assert np.array_equal(first.log_probs, second.log_probs)
    assert len(first.log_probs) == n_frames_of(n_samples)
    assert np.array_equal(first.log_probs, starter.log_probs(sound))


def test_there_is_room_for_all_that_may_be_written() -> None:
    assert most_tokens(16_000) == 13
    assert most_tokens(0) == 6


@pytest.mark.parametrize(
    ("jit_compile", "encoder", "decoder"),
    [(None, False, True), (True, True, True), (False, False, False)],
)
def test_xla_compiles_the_decoder_and_not_the_encoder_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch, jit_compile: bool | None, encoder: bool, decoder: bool
) -> None:
    are_compiled = []
    function = tf.function

    def spy(traced: object, *, jit_compile: bool, **rest: bool) -> object:
        are_compiled.append(jit_compile)
        return function(traced, jit_compile=jit_compile, **rest)

    model = models.load("starter", jit_compile=jit_compile)
    monkeypatch.setattr(tf, "function", spy)
    assert (model.hear(WAVES["wave_fox"]).text or "").startswith(WRITTEN["fox"])
    assert are_compiled == [decoder, encoder]  # in the order in which they are made ready
    assert len(model.buckets) == (6 if jit_compile else 20)


@pytest.mark.parametrize(
    ("heard", "written", "expected"),
    [
        ("THE DOLL LIGHT", "", "The doll light."),
        ("THE DOLL LIGHT FELL MORE", "The dull, light fell.", "The dull, light fell more."),
        ("DOLL LIGHT FELL UPON", "Rather dull light fell up.", "Dull light fell up."),
        ("OH THE DULL LIGHT FELL UPON IT", "A dull light fell up.", "Oh A dull light fell up it."),
        ("AND FAT MUTTON TO", "Peas and fat, mutton pieces to be.", "And fat, mutton pieces to."),
        ("STOP IT NOW", "The dull light fell.", "Stop it now."),
        ("IT'S", "It's, it's", "It's."),
        ("", "The dull light fell.", "."),
    ],
)
def test_a_draft_is_what_was_written_where_it_was_heard_again(
    heard: str, written: str, expected: str
) -> None:
    assert draft(heard, written) == expected


def test_what_was_written_is_guessed_again(
    starter: TwoPassModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessed: list[str] = []
    decoder = starter._starter.decoder
    monkeypatch.setattr(decoder, "guess", lambda text: guessed.append(text) or [])
    starter.hear(WAVES["wave_yes"])
    first = starter.hear(WAVES["wave_window"])
    again = starter.hear(WAVES["wave_window"])
    assert first.text == again.text
    assert first.text is not None
    assert guessed[-1].rstrip(".") == first.text.rstrip(".,") != guessed[-2].rstrip(".")
