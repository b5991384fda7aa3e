"""Tiny random networks of every supported kind, written by `transformers`, to compare with.

Importing this skips the test module when PyTorch or transformers is missing.
"""

from __future__ import annotations

import numpy as np
import pytest

from streamer.models.wav2vec2_config import Wav2Vec2Config

REASON = "the reference needs `pip install torch transformers`"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)

# Small, yet nothing is equal by chance: widths differ and the widest kernel exceeds short inputs.
TINY = {
    "conv_dim": [24, 24, 24, 24, 24, 24, 40],
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
KINDS = {
    "wav2vec2-base": ("wav2vec2", {}),  # facebook/wav2vec2-base-960h
    "wav2vec2-large": ("wav2vec2", LAYER_NORM),  # facebook/wav2vec2-large-960h-lv60-self, XLSR
    "hubert-base": ("hubert", {"feat_proj_layer_norm": False}),
    "hubert-large": ("hubert", LAYER_NORM),  # facebook/hubert-large-ls960-ft
    # Neither is published, both could be: an odd kernel needs no frame dropped.
    "group-norm-with-bias": ("wav2vec2", {"conv_bias": True, "num_conv_pos_embeddings": 15}),
    "layer-norm-post-norm": ("wav2vec2", {"feat_extract_norm": "layer", "layer_norm_eps": 1e-3}),
}


def reference(kind: str):
    """A `transformers` model of a kind, its weights random and far from their initial values."""
    family, changes = KINDS[kind]
    name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert"}[family]
    config = getattr(transformers, f"{name}Config")(**TINY | changes)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCTC")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def config_of(model) -> Wav2Vec2Config:
    return Wav2Vec2Config.from_json(model.config.to_dict(), {})


def weights_of(model) -> dict[str, np.ndarray]:
    """The arrays of a reference, named and laid out as ours."""
    weights = {}
    for name, tensor in model.state_dict().items():
        array = tensor.numpy()
        name = name.removeprefix("wav2vec2.").removeprefix("hubert.").replace(".", "/")
        name = name.replace("parametrizations/weight/original0", "weight_g")
        name = name.replace("parametrizations/weight/original1", "weight_v")
        if "layer_norm" in name:
            name = name.replace("/weight", "/gamma").replace("/bias", "/beta")
        elif name.endswith("/weight"):
            name = name.replace("/weight", "/kernel")
        weights[name] = array.T
    return weights


def log_probs_of(model, waveform: np.ndarray) -> np.ndarray:
    """What the reference says of one unpadded utterance [n_samples], normalised as it expects."""
    normalise = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    values = normalise(waveform, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        return torch.log_softmax(model(values).logits, dim=-1)[0].numpy()


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
