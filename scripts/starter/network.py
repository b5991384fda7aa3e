"""The network of `starter` in Keras 3, so that it can be trained on TensorFlow, JAX or PyTorch.

The same network as `streamer/models/starter.py`, with the same names, shapes and masks. That one
is read and run by the package; this one also has gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

# The three strided convolutions, as (taps, stride). One frame for 64 * 3 * 2 = 384 samples.
CONVOLUTIONS = ((127, 64), (7, 3), (3, 2))
HOP = 384
N_LAYERS = 6
N_HEADS = 8
N_HEAD_BLOCKS = 3
WIDTH = 288
N_LABELS = 32
ROTARY_DIM = 32  # of a head's 36 dimensions; the last four carry no position
ROTARY_BASE = 10_000.0
EPSILON = 1e-5


def shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every array of weights, from the sound to the labels."""
    w = WIDTH
    found: dict[str, tuple[int, ...]] = {
        "conv1": (127, 1, w),
        "norm_scale": (w,),
        "norm_bias": (w,),
        "conv2": (7, w, 2 * w),
        "conv2_bias": (2 * w,),
        "conv3": (3, 2 * w, w),
        "conv3_bias": (w,),
    }
    for i in range(N_LAYERS):
        layer = f"layer{i}/"
        found |= {layer + name: (w, w) for name in ("query", "key", "value", "output")}
        found |= {layer + "attention_norm": (w,), layer + "ffn_norm": (w,)}
        found |= {layer + "ffn_in": (w, 4 * w), layer + "ffn_in_bias": (4 * w,)}
        found |= {layer + "ffn_out": (4 * w, w), layer + "ffn_out_bias": (w,)}
    found["final_norm"] = (w,)
    for i in range(N_HEAD_BLOCKS):
        block = f"head{i}/"
        found |= {block + "norm": (w,), block + "norm_bias": (w,)}
        found |= {block + "conv": (5, w, w), block + "conv_bias": (w,)}
        found |= {block + "out": (w, w), block + "out_bias": (w,)}
    found |= {"head_norm": (w,), "head_norm_bias": (w,)}
    found |= {"labels": (w, N_LABELS), "labels_bias": (N_LABELS,)}
    return found


def n_frames_of(n_samples: Any) -> Any:
    """How many frames so many samples give: integers, arrays or tensors."""
    for taps, stride in CONVOLUTIONS:
        n_samples = _n_frames(n_samples, taps, stride)
    return n_samples


class Network(keras.Model):
    """Raw waveforms in, log-probabilities of the labels out.

    Calling it takes `{"waveforms": float32 [batch, samples], "valid": int32 [batch]}` and returns
    `{"log_probs": float32 [batch, frame, label], "n_frames": int32 [batch]}`.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], **kwargs: Any) -> None:
        """Take the weights, named as in `shapes`."""
        super().__init__(name="starter", **kwargs)
        self._named = {
            name: self.add_weight(shape=shape, name=name.replace("/", "_"))
            for name, shape in shapes().items()
        }
        self.load_arrays(weights)
        self.built = True

    def load_arrays(self, weights: Mapping[str, np.ndarray]) -> None:
        """Replace all weights."""
        missing = set(self._named) - set(weights)
        if missing:
            raise ValueError(f"The weights lack {', '.join(sorted(missing))}.")
        for name, variable in self._named.items():
            variable.assign(np.asarray(weights[name], np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights, float32."""
        return {n: ops.convert_to_numpy(v.value) for n, v in self._named.items()}

    def freeze(self, prefixes: tuple[str, ...]) -> None:
        """Keep the weights whose names begin with one of `prefixes` as they are."""
        for name, variable in self._named.items():
            variable.trainable = not name.startswith(prefixes)

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Run the network."""
        del training  # Nothing here differs in training: augmentation is done to the sound.
        valid = inputs["valid"]
        x = _zero_beyond(inputs["waveforms"][..., None], valid)
        (taps1, stride1), (_, stride2), (_, stride3) = CONVOLUTIONS

        x = ops.tanh(ops.conv(x, self._named["conv1"], stride1))
        x = self._group_norm(x, _n_frames(valid, taps1, stride1))
        x = _gelu(ops.conv(x, self._named["conv2"], stride2) + self._named["conv2_bias"])
        x = _gelu(ops.conv(x, self._named["conv3"], stride3) + self._named["conv3_bias"])

        n_frames = n_frames_of(valid)
        rotation = _rotation(ops.shape(x)[1], x.dtype)
        for i in range(N_LAYERS):
            layer = f"layer{i}/"
            x = x + self._attention(layer, x, n_frames, rotation)
            x = x + self._feed_forward(layer, x)
        x = _zero_beyond(_layer_norm(x, self._named["final_norm"]), n_frames)

        for i in range(N_HEAD_BLOCKS):
            x = self._head_block(f"head{i}/", x, n_frames)
        x = _layer_norm(x, self._named["head_norm"], self._named["head_norm_bias"])
        logits = x @ self._named["labels"] + self._named["labels_bias"]
        log_probs = ops.log_softmax(ops.cast(logits, "float32"))
        return {"log_probs": log_probs, "n_frames": n_frames}

    def _group_norm(self, x: Any, n_frames: Any) -> Any:
        """Normalise over the valid frames and all channels together (one group)."""
        dtype = x.dtype
        x = ops.cast(x, "float32")
        mask = _mask(n_frames, ops.shape(x)[1])[..., None]
        count = ops.cast(ops.maximum(n_frames * x.shape[2], 1), "float32")[:, None, None]
        mean = ops.sum(ops.where(mask, x, 0.0), axis=(1, 2), keepdims=True) / count
        deviation = x - mean
        squares = ops.where(mask, ops.square(deviation), 0.0)
        variance = ops.sum(squares, axis=(1, 2), keepdims=True) / count
        normalised = ops.cast(deviation * ops.rsqrt(variance + EPSILON), dtype)
        return normalised * self._named["norm_scale"] + self._named["norm_bias"]

    def _attention(self, layer: str, x: Any, n_frames: Any, rotation: tuple[Any, Any]) -> Any:
        """Self-attention over the valid frames, [batch, frame, channel] -> the same."""
        length, width = ops.shape(x)[1], x.shape[2]
        heads = (-1, length, N_HEADS, width // N_HEADS)
        y = _layer_norm(x, self._named[layer + "attention_norm"])
        query = _rotate(ops.reshape(y @ self._named[layer + "query"], heads), rotation)
        key = _rotate(ops.reshape(y @ self._named[layer + "key"], heads), rotation)
        value = ops.reshape(y @ self._named[layer + "value"], heads)
        query, key, value = (ops.transpose(z, (0, 2, 1, 3)) for z in (query, key, value))
        scores = query @ ops.transpose(key, (0, 1, 3, 2)) / (width // N_HEADS) ** 0.5
        # Finite, so that a row without a single valid frame gives no NaN.
        bias = ops.where(_mask(n_frames, length), 0.0, -1e9)[:, None, None, :]
        y = ops.softmax(scores + ops.cast(bias, scores.dtype)) @ value
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, length, width))
        return y @ self._named[layer + "output"]

    def _feed_forward(self, layer: str, x: Any) -> Any:
        y = _layer_norm(x, self._named[layer + "ffn_norm"])
        y = _gelu(y @ self._named[layer + "ffn_in"] + self._named[layer + "ffn_in_bias"])
        return y @ self._named[layer + "ffn_out"] + self._named[layer + "ffn_out_bias"]

    def _head_block(self, block: str, x: Any, n_frames: Any) -> Any:
        y = _layer_norm(x, self._named[block + "norm"], self._named[block + "norm_bias"])
        y = _zero_beyond(y, n_frames)
        y = _convolve_same(y, self._named[block + "conv"]) + self._named[block + "conv_bias"]
        y = _gelu(y) @ self._named[block + "out"] + self._named[block + "out_bias"]
        return _zero_beyond(x + y, n_frames)


def _n_frames(n: Any, taps: int, stride: int) -> Any:
    """Valid outputs of a convolution without padding, given `n` valid inputs."""
    n = (n - taps) // stride + 1
    return n * (n > 0) if isinstance(n, int | np.ndarray) else ops.maximum(n, 0)


def _mask(n_frames: Any, length: int) -> Any:
    """[batch] -> bool [batch, length]: which entries are valid."""
    return ops.arange(length, dtype="int32")[None, :] < ops.cast(n_frames, "int32")[:, None]


def _zero_beyond(x: Any, n_valid: Any) -> Any:
    """Replace what lies beyond the valid entries of axis 1, whatever it is, by zeros."""
    return ops.where(_mask(n_valid, ops.shape(x)[1])[..., None], x, ops.zeros((), x.dtype))


def _convolve_same(x: Any, kernel: Any) -> Any:
    """Convolution of stride 1 as one matrix product, whose gradient is fast everywhere."""
    taps, n_in, n_out = kernel.shape
    length = ops.shape(x)[1]
    padded = ops.pad(x, [(0, 0), (taps // 2, taps // 2), (0, 0)])
    taken = ops.concatenate([padded[:, i : i + length] for i in range(taps)], axis=-1)
    return taken @ ops.reshape(kernel, (taps * n_in, n_out))


def _gelu(x: Any) -> Any:
    return ops.gelu(x, approximate=False)


def _layer_norm(x: Any, scale: Any, bias: Any = None) -> Any:
    return ops.layer_normalization(x, scale, bias, axis=-1, epsilon=EPSILON)


def _rotation(length: int, dtype: Any) -> tuple[Any, Any]:
    """Cosine and sine of the rotary angles, each [1, frame, 1, pair].

    Rotary position embedding: Su et al. 2021, https://arxiv.org/abs/2104.09864. Pair i of a head
    turns by `position * base ** (-i / n_pairs)`.
    """
    n_pairs = ROTARY_DIM // 2
    frequency = ROTARY_BASE ** (-np.arange(n_pairs, dtype=np.float32) / n_pairs)
    angle = ops.arange(length, dtype="float32")[None, :, None, None] * frequency
    return ops.cast(ops.cos(angle), dtype), ops.cast(ops.sin(angle), dtype)


def _rotate(x: Any, rotation: tuple[Any, Any]) -> Any:
    """Turn neighbouring pairs of the first `ROTARY_DIM` channels of each head by their angles."""
    cos, sin = rotation
    even, odd = x[..., 0:ROTARY_DIM:2], x[..., 1:ROTARY_DIM:2]
    turned = ops.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    turned = ops.reshape(turned, (-1, ops.shape(x)[1], x.shape[2], ROTARY_DIM))
    return ops.concatenate([turned, x[..., ROTARY_DIM:]], axis=-1)
