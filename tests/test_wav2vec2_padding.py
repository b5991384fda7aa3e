"""The masks of wav2vec 2.0, without its authors' code: padding changes no valid frame at all."""

import numpy as np
import pytest
from published import random_weights

from streamer.models.compiled import CompiledModel
from streamer.models.labels import WAV2VEC2_LABELS
from streamer.models.wav2vec2 import Wav2Vec2
from streamer.models.wav2vec2_config import Wav2Vec2Config

SIZE = {
    "conv_dims": (24,) * 7,
    "hidden_size": 48,
    "n_layers": 2,
    "n_heads": 4,
    "intermediate_size": 80,
    "position_kernel": 16,
    "position_groups": 4,
}
KINDS = {
    "group norm": Wav2Vec2Config(**SIZE),
    "layer norm": Wav2Vec2Config(**SIZE, conv_layer_norm=True, conv_bias=True, pre_norm=True),
}
BUCKET = 16_000


@pytest.fixture(scope="module", params=KINDS)
def network(request: pytest.FixtureRequest) -> Wav2Vec2:
    config = KINDS[request.param]
    return Wav2Vec2(config, WAV2VEC2_LABELS, random_weights(config))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30])
def test_poisoned_padding_changes_no_bit(
    network: Wav2Vec2, jit_compile: bool, poison: float
) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(9_999, np.float32)
    model = CompiledModel(network, [BUCKET], jit_compile=jit_compile)
    expected = model.log_probs(sound)
    padded = np.full((1, BUCKET), poison, np.float32)
    padded[0, : len(sound)] = sound
    log_probs, n_frames = model._compiled(1, BUCKET)(padded, np.array([len(sound)], np.int32))
    assert np.isfinite(expected).all()
    assert np.array_equal(log_probs.numpy()[0, : int(n_frames[0])], expected)


# The second bucket is convolved in three chunks.
@pytest.mark.parametrize("n_samples", [399, 400, 719, 720, 721, 8_000, 33_359, 33_360, 99_999])
def test_padded_is_unpadded_at_the_edges_of_frames(network: Wav2Vec2, n_samples: int) -> None:
    sound = 0.1 * np.random.default_rng(1).standard_normal(n_samples, np.float32)
    padded = CompiledModel(network, [BUCKET, 100_000], jit_compile=False).log_probs(sound)
    assert len(padded) == max(0, (n_samples - 400) // 320 + 1)
    if len(padded):
        valid = np.array([n_samples], np.int32)
        unpadded, n_frames = network(sound[np.newaxis], valid)
        assert int(n_frames[0]) == len(padded)
        assert np.abs(unpadded.numpy()[0] - padded).max() < 1e-4


def test_a_batch_gives_what_each_gives_alone(network: Wav2Vec2) -> None:
    rng = np.random.default_rng(2)
    sounds = [0.1 * rng.standard_normal(n, np.float32) for n in (16_000, 399, 5_000)]
    model = CompiledModel(network, [BUCKET])
    for _ in range(2):
        together = model.log_probs_of_batch(sounds)
    assert model.n_traces == 1
    assert [len(log_probs) for log_probs in together] == [49, 0, 15]
    for sound, log_probs in zip(sounds, together, strict=True):
        alone = model.log_probs(sound)
        assert np.abs(alone - log_probs).max(initial=0.0) < 1e-4


def test_bfloat16_is_close_in_half_the_memory(network: Wav2Vec2) -> None:
    sound = 0.1 * np.random.default_rng(3).standard_normal(16_000, np.float32)
    weights = random_weights(network.config)
    half = Wav2Vec2(network.config, WAV2VEC2_LABELS, weights, precision="bfloat16")
    assert not half.jit_compile
    large = [name for name in weights if name.endswith("output_dense/kernel")]
    assert {half._weights[name].dtype.size for name in large} == {2}
    expected = CompiledModel(network, [BUCKET], jit_compile=False).log_probs(sound)
    found = CompiledModel(half, [BUCKET]).log_probs(sound)
    assert 0 < np.abs(found - expected).max() < 0.1
