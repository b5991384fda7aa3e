"""The network gives the numbers of `transformers`, and padding changes none of them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from published import random_weights
from reference import (
    KINDS,
    config_of,
    log_probs_of,
    reference,
    relative_error,
    torch,
    transformers,
    weights_of,
)

from streamer.errors import ModelError
from streamer.models import BUCKETS_S
from streamer.models.checkpoints import hugging_face_name
from streamer.models.compiled import CompiledModel
from streamer.models.labels import WAV2VEC2_LABELS
from streamer.models.wav2vec2 import Wav2Vec2
from streamer.models.wav2vec2_config import Wav2Vec2Config

TOLERANCE = 1e-5
# The longest is convolved in three chunks.
BUCKETS = (4_000, 8_000, 16_000, 100_000)
# One off around frame boundaries (400 samples for the first frame, 320 for each other), and around
# the ends of the buckets.
LENGTHS = (400, 401, 719, 720, 721, 1039, 1040, 3999, 4000, 4001, 7999, 8000, 15_999, 16_000)
LENGTHS += (33_359, 33_360, 50_000, 99_999, 100_000)


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    """A reference and our network with the same weights."""
    theirs = reference(request.param)
    return theirs, Wav2Vec2(config_of(theirs), WAV2VEC2_LABELS, weights_of(theirs))


def speech(n_samples: int, seed: int = 0) -> np.ndarray:
    """Loud and soft noise around an offset: normalisation has something to do."""
    rng = np.random.default_rng(seed)
    loudness = 0.01 + 0.2 * np.abs(np.sin(np.arange(n_samples) / 700))
    return (0.05 + loudness * rng.standard_normal(n_samples)).astype(np.float32)


def hidden(n_frames: int, size: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, n_frames, size)).astype(np.float32)


def run(network, waveforms: np.ndarray, valid: list[int]) -> tuple[np.ndarray, np.ndarray]:
    log_probs, n_frames = network(tf.constant(waveforms), tf.constant(valid, tf.int32))
    return log_probs.numpy(), n_frames.numpy()


def test_feature_extractor_matches(pair):
    theirs, ours = pair
    waveforms = np.stack([speech(5_000, seed) for seed in (0, 1)])
    found, n_frames = ours.features(waveforms[..., np.newaxis], tf.constant([5_000, 5_000]))
    with torch.no_grad():
        base = getattr(theirs, theirs.base_model_prefix)
        expected = base.feature_extractor(torch.tensor(waveforms)).numpy().transpose(0, 2, 1)
    assert n_frames.numpy().tolist() == [expected.shape[1]] * 2
    assert relative_error(found.numpy(), expected) < TOLERANCE


def test_feature_projection_matches(pair):
    theirs, ours = pair
    features = hidden(30, ours.config.conv_dims[-1])
    with torch.no_grad():
        base = getattr(theirs, theirs.base_model_prefix)
        expected = base.feature_projection(torch.tensor(features))
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert relative_error(ours.project(features).numpy(), expected.numpy()) < TOLERANCE


@pytest.mark.parametrize("n_frames", [1, 2, 30])
def test_positional_convolution_matches(pair, n_frames):
    theirs, ours = pair
    x = hidden(n_frames, ours.config.hidden_size)
    with torch.no_grad():
        base = getattr(theirs, theirs.base_model_prefix)
        expected = base.encoder.pos_conv_embed(torch.tensor(x)).numpy()
    assert relative_error(ours.positions(x).numpy(), expected) < TOLERANCE


def test_encoder_layer_matches(pair):
    theirs, ours = pair
    x = hidden(30, ours.config.hidden_size)
    with torch.no_grad():
        base = getattr(theirs, theirs.base_model_prefix)
        expected = base.encoder.layers[1](torch.tensor(x), attention_mask=None)
    expected = expected[0] if isinstance(expected, tuple) else expected
    found = ours.encoder_layer(1, tf.constant(x), tf.constant([30, 30]))
    assert relative_error(found.numpy(), expected.numpy()) < TOLERANCE


def test_unpadded_log_probs_match(pair):
    theirs, ours = pair
    for n_samples in LENGTHS:
        found, n_frames = run(ours, speech(n_samples)[np.newaxis], [n_samples])
        assert n_frames[0] == found.shape[1] == (n_samples - 400) // 320 + 1
        error = relative_error(found[0], log_probs_of(theirs, speech(n_samples)))
        assert error < TOLERANCE, n_samples


def test_log_probs_in_buckets_match_the_unpadded_reference(pair):
    theirs, ours = pair
    compiled = CompiledModel(ours, BUCKETS)
    for n_samples in LENGTHS:
        found = compiled.log_probs(speech(n_samples))
        error = relative_error(found, log_probs_of(theirs, speech(n_samples)))
        assert error < TOLERANCE, n_samples
    assert compiled.n_traces == len(BUCKETS)


@pytest.mark.timeout(300)
def test_published_size_in_buckets_matches_the_unpadded_reference():
    theirs = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config()).eval()
    weights = random_weights(Wav2Vec2Config())
    stored = theirs.state_dict()
    for name, array in weights.items():
        stored[hugging_face_name(name, "wav2vec2.", stored)] = torch.tensor(array.T.copy())
    theirs.load_state_dict(stored)
    buckets = [round(seconds * 16_000) for seconds in BUCKETS_S]
    compiled = CompiledModel(Wav2Vec2(Wav2Vec2Config(), WAV2VEC2_LABELS, weights), buckets)
    # Full buckets; one sample too many for the one before; and around a frame's edge.
    for n_samples in [*buckets, *(bucket + 1 for bucket in buckets[:-1]), 719, 720, 48_079, 48_080]:
        found = compiled.log_probs(speech(n_samples))
        error = relative_error(found, log_probs_of(theirs, speech(n_samples)))
        assert error < TOLERANCE, n_samples
    assert compiled.n_traces == len(buckets)


def test_rows_of_a_batch_do_not_mix(pair):
    theirs, ours = pair
    valid = [8_000, 399, 721, 5_000]
    waveforms = np.stack([speech(8_000, seed) for seed in range(4)])
    found, n_frames = run(ours, waveforms, valid)
    assert n_frames.tolist() == [24, 0, 2, 15]
    assert np.isfinite(found).all()
    for row in (0, 2, 3):
        expected = log_probs_of(theirs, waveforms[row, : valid[row]])
        assert relative_error(found[row, : n_frames[row]], expected) < TOLERANCE


@pytest.mark.parametrize("jit_compile", [False, True])
def test_poisoned_padding_changes_no_valid_frame_at_all(pair, jit_compile):
    _, ours = pair
    network = tf.function(ours.__call__, jit_compile=jit_compile)
    for n_valid in (400, 719, 720, 2_000, 3_999):
        clean = np.zeros((1, 4_000), np.float32)
        clean[0, :n_valid] = speech(n_valid)
        expected, n_frames = run(network, clean, [n_valid])
        for poison in (np.nan, np.inf, -1e30):
            poisoned = clean.copy()
            poisoned[0, n_valid:] = poison
            found, _ = run(network, poisoned, [n_valid])
            assert np.array_equal(found[0, : n_frames[0]], expected[0, : n_frames[0]])


def test_jit_equals_eager(pair):
    _, ours = pair
    waveforms = np.stack([speech(8_000, seed) for seed in (0, 1)])
    compiled, n_frames = run(
        tf.function(ours.__call__, jit_compile=True), waveforms, [8_000, 3_000]
    )
    eager, _ = run(ours, waveforms, [8_000, 3_000])
    for row in (0, 1):
        error = relative_error(compiled[row, : n_frames[row]], eager[row, : n_frames[row]])
        assert error < TOLERANCE


def test_normalisation_is_the_checkpoints_choice(pair):
    theirs, _ = pair
    config = Wav2Vec2Config.from_json(theirs.config.to_dict(), {"do_normalize": False})
    network = Wav2Vec2(config, WAV2VEC2_LABELS, weights_of(theirs))
    wave = speech(3_000)
    found, _ = run(network, wave[np.newaxis], [3_000])
    with torch.no_grad():
        expected = torch.log_softmax(theirs(torch.tensor(wave[np.newaxis])).logits, dim=-1).numpy()
    assert relative_error(found, expected) < TOLERANCE


def test_published_configuration_is_the_default():
    config = Wav2Vec2Config.from_json({"model_type": "wav2vec2"}, {})
    assert config == Wav2Vec2Config()
    assert (config.hop, config.receptive_field) == (320, 400)
    # The published SavedModel has 213 variables; the mask of its training is not needed.
    assert len(config.shapes()) == 212


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "wavlm"}, "model_type"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"feat_extract_activation": "gelu_new"}, "feat_extract_activation"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm"),
        ({"add_adapter": True}, "add_adapter"),
        ({"adapter_attn_dim": 16}, "adapter_attn_dim"),
        ({"conv_pos_batch_norm": True}, "conv_pos_batch_norm"),
        ({"conv_stride": [5, 2]}, "conv_stride"),
        ({"num_attention_heads": 7}, "num_attention_heads"),
        ({"num_attention_heads": 0}, "sizes above 0"),
        ({"num_conv_pos_embedding_groups": 0}, "sizes above 0"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, "2"]}, "sizes above 0"),
        ({"conv_dim": [], "conv_kernel": [], "conv_stride": []}, "of one length above 0"),
        ({"hidden_size": float("inf")}, "infinity"),
        ({"hidden_size": "wide"}, "config.json"),
    ],
)
def test_what_is_not_supported_is_named(change, named):
    with pytest.raises(ModelError, match=named):
        Wav2Vec2Config.from_json({"model_type": "wav2vec2"} | change, {})


def test_another_sampling_rate_is_refused():
    with pytest.raises(ModelError, match="sampling_rate"):
        Wav2Vec2Config.from_json({"model_type": "wav2vec2"}, {"sampling_rate": 8_000})
