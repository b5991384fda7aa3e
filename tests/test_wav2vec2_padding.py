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
    log_probs, n_frames = model._compiled(BUCKET)(padded, np.array([len(sound)], np.int32))
    assert np.isfinite(expected).all()
    assert np.array_equal(log_probs.numpy()[0, : int(n_frames[0])], expected)


@pytest.mark.parametrize("n_samples", [399, 400, 719, 720, 721, 8_000])
def test_padded_is_unpadded_at_the_edges_of_frames(network: Wav2Vec2, n_samples: int) -> None:
    sound = 0.1 * np.random.default_rng(1).standard_normal(n_samples, np.float32)
    padded = CompiledModel(network, [BUCKET]).log_probs(sound)
    assert len(padded) == max(0, (n_samples - 400) // 320 + 1)
    if len(padded):
        valid = np.array([n_samples], np.int32)
        unpadded, n_frames = network(sound[np.newaxis], valid)
        assert int(n_frames[0]) == len(padded)
        assert np.abs(unpadded.numpy()[0] - padded).max() < 1e-4
