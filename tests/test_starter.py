"""The model in the package computes what its specification says."""

from pathlib import Path

import numpy as np
import pytest

from streamer import models, processor
from streamer.models.compiled import CompiledModel
from streamer.models.starter import Starter
from streamer.models.two_pass import TwoPassModel

# Speech made with flite, and log-probabilities computed from the same weights by the program that
# trained them.
REFERENCE = np.load(Path(__file__).parent / "data" / "starter_reference.npz")
NAMES = ("fox", "window", "yes")
LARGEST_DIFFERENCE = 2e-4  # of log-probabilities down to -35, in float32


@pytest.mark.parametrize("name", NAMES)
def test_log_probs_are_those_of_the_reference(name: str) -> None:
    expected = REFERENCE[f"log_probs_{name}"]
    starter = models.load("starter", precision="float32")
    found = starter.log_probs(REFERENCE[f"wave_{name}"])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < LARGEST_DIFFERENCE


@pytest.fixture(scope="module")
def network() -> Starter:
    return Starter.from_package()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_padding_changes_nothing_even_if_it_is_poisoned(
    network: Starter, jit_compile: bool
) -> None:
    wave = REFERENCE["wave_yes"]
    model = CompiledModel(network, [16_000], jit_compile=jit_compile)
    expected = model.log_probs(wave)
    padded = np.full((1, 16_000), np.nan, np.float32)
    padded[0, : len(wave)] = wave
    call = model._compiled(1, 16_000)
    log_probs, n_frames = call(padded, np.array([len(wave)], np.int32))
    assert np.array_equal(log_probs.numpy()[0, : int(n_frames[0])], expected)


@pytest.mark.parametrize("n_samples", [894, 895, 896, 1278, 1279, 1280, 13_055, 13_056])
def test_number_of_frames_at_the_edges(starter: CompiledModel, n_samples: int) -> None:
    n1 = (n_samples - 127) // 64 + 1
    n2 = (n1 - 7) // 3 + 1
    expected = max(0, (n2 - 3) // 2 + 1)
    samples = REFERENCE["wave_fox"][:n_samples]
    assert starter.log_probs(samples).shape == (expected, 32)


def test_a_batch_is_computed_row_by_row(network: Starter) -> None:
    long, short = REFERENCE["wave_fox"], REFERENCE["wave_yes"]
    batch = np.zeros((2, len(long)), np.float32)
    batch[0], batch[1, : len(short)] = long, short
    log_probs, n_frames = network(batch, np.array([len(long), len(short)], np.int32))
    for row, name in enumerate(("fox", "yes")):
        found = log_probs.numpy()[row, : int(n_frames[row])]
        assert np.abs(found - REFERENCE[f"log_probs_{name}"]).max() < LARGEST_DIFFERENCE


def test_bfloat16_is_close_in_less_memory(network: Starter) -> None:
    half = Starter.from_package("bfloat16")
    sizes = {name: array.dtype.size for name, array in half._weights.items()}
    assert sizes["layer0/query"] == sizes["writing/layer5/ffn_in"] == sizes["head0/conv"] == 2
    assert sizes["conv1"] == sizes["decoder0/self_query"] == 4
    wave = REFERENCE["wave_fox"]
    found, _ = half(wave[None], np.array([len(wave)], np.int32))
    difference = np.abs(np.exp(found.numpy()[0]) - np.exp(REFERENCE["log_probs_fox"]))
    assert 0 < difference.mean() < 1e-3


@pytest.mark.parametrize(
    ("can", "jit_compile", "expected"),
    [(True, None, 2), (False, None, 4), (True, True, 4), (True, False, 2)],
)
def test_it_computes_in_what_the_processor_is_quick_with(
    can: bool, jit_compile: bool | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "multiplies_bfloat16", lambda: can)
    model = models.load("starter", jit_compile=jit_compile)
    assert isinstance(model, TwoPassModel)
    assert model._starter._weights["layer0/query"].dtype.size == expected


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, float32, bfloat16, found 'float16'"):
        models.load("starter", precision="float16")


@pytest.mark.parametrize(
    ("has", "expected"),
    [(["avx2", "avx512_bf16"], True), (["amx_bf16"], True), (["avx2", "bf16"], False), ([], False)],
)
def test_only_instructions_that_are_used_count(
    has: list[str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "instruction_sets", lambda: has)
    assert processor.multiplies_bfloat16() == expected
