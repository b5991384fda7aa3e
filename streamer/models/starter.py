"""`starter`: the small network that ships inside the package.

Moonshine tiny (MIT, https://github.com/moonshine-ai/moonshine; Jeffries et al. 2024,
https://arxiv.org/abs/2410.15608) and a CTC network that shares its lower half: three convolutions
and three layers. The layers above are there twice. Moonshine's own lead to its attention decoder,
which writes the text; the others, trained for this project, to log-probabilities of letters, which
say when each word was said and whether anything was. Their origin and licence stand in
`starter_weights/README.md`.

Every layer takes and returns arrays together with the number of valid entries, and computes nothing
from the rest: padding changes no valid frame, whatever it contains.
"""

from __future__ import annotations

import zipfile
from collections import ChainMap
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
import tensorflow as tf

from streamer.errors import ModelError
from streamer.models.attention_decoder import AttentionDecoder
from streamer.models.labels import WAV2VEC2_LABELS
from streamer.models.masking import zero_beyond
from streamer.models.transformer import (
    EPSILON,
    attention,
    convolve,
    gelu,
    layer_norm,
    multiply,
    rotate,
    rotation,
    split_heads,
    under,
    with_pairs_apart,
)

# The three strided convolutions, as (taps, stride). One frame for 64 * 3 * 2 = 384 samples.
CONVOLUTIONS = ((127, 64), (7, 3), (3, 2))
# The layers: those that letters and text share, Moonshine's own that lead to the text, and those
# that lead to the letters.
SHARED = ("layer0/", "layer1/", "layer2/")
WRITING = ("writing/layer3/", "writing/layer4/", "writing/layer5/")
HEARING = ("layer3/", "layer4/", "layer5/")
N_HEAD_BLOCKS = 3
OF_A_LAYER = (
    *("attention_norm", "query", "key", "value", "output"),
    *("ffn_norm", "ffn_in", "ffn_in_bias", "ffn_out", "ffn_out_bias"),
)
# The weights of what `rotate` turns; the decoder's `cross_query` and `cross_key` are not turned.
TURNED = ("/query", "/key", "/self_query", "/self_key")
LARGE = (
    *("conv2", "conv3", "/query", "/key", "/value", "/output", "/ffn_in", "/ffn_out"),
    *("/conv", "/out"),
)
PACKED = ("tokens", "tokens:zero", "tokens:scale")  # the matrix that stays in eight bits
TOKENS = "token_texts"  # what the decoder's tokens write, UTF-8, a line each
WIDTH = 288  # channels of every layer


class Starter(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """The network: raw waveforms in, log-probabilities of the wav2vec2-960h labels out.

    Attributes:
        decoder: Writes the text of what `hear` gives it.
    """

    name = "starter"
    labels = WAV2VEC2_LABELS
    hop = 384
    receptive_field = 895
    # Of the encoder: XLA gains a tenth where nothing is padded, and loses more by its buckets.
    jit_compile = False
    shortest = receptive_field

    def __init__(self, weights: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        """Take the weights.

        Args:
            weights: Named and shaped as in `starter_weights/weights.npz`, and for the decoder also
                as in `writing.npz`; packed in eight bits or not. Each is read once, so that a lazy
                mapping never holds them all.
            precision: `bfloat16` multiplies by the encoder's large matrices in bfloat16, summing in
                float32. (Measured on a processor with instructions for it: 0.7 of the time,
                1541 instead of 1532 errors in 18,686 words.) The decoder's stay in float32, because
                XLA has no such instructions.
        """
        super().__init__(name="starter")
        self._weights = {
            name: tf.Variable(
                weights[name] if name in PACKED else _unpacked(name, weights),
                trainable=False,
                dtype=precision if _is_large(name) else None,
            )
            for name in weights
            if name in PACKED or not (":" in name or name == TOKENS)
        }
        tokens = weights[TOKENS].tobytes().decode().split("\n")
        self.decoder = AttentionDecoder(self._array, tokens)

    @classmethod
    def from_package(cls, precision: str = "float32") -> Starter:
        """Read the weights that ship inside the package.

        Raises:
            ModelError: A file is missing or cannot be read; the installation is damaged.
        """
        folder = resources.files("streamer.models") / "starter_weights"
        try:
            with (
                (folder / "weights.npz").open("rb") as hearing_file,
                (folder / "writing.npz").open("rb") as writing_file,
                np.load(hearing_file) as hearing,
                np.load(writing_file) as writing,
            ):
                return cls(ChainMap(hearing, writing), precision)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The weights of the model in the package cannot be read ({error}). "
                "Install streamer again."
            ) from error

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the log-probabilities of every label in every frame.

        Args:
            waveforms: Raw samples in [-1, 1] at 16 kHz, float32 [batch, samples].
            valid: How many samples of each row count, int32 [batch]. A row with fewer than
                `receptive_field` has no valid frame.

        Returns:
            Log-probabilities, float32 [batch, frame, label], and the number of valid frames,
            int32 [batch].
        """
        log_probs, n_frames, _ = self.hear(waveforms, valid)
        return log_probs, n_frames

    def hear(
        self, waveforms: tf.Tensor, valid: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Compute the log-probabilities and, for the decoder, the encoder's states.

        Args:
            waveforms: As for the call.
            valid: As for the call.

        Returns:
            What the call returns, and the states, float32 [batch, frame, channel].
        """
        n_frames = n_frames_of(valid)
        x = self._features(waveforms, valid)
        turn = rotation(tf.shape(x)[1])
        is_valid = tf.sequence_mask(n_frames, tf.shape(x)[1])[:, tf.newaxis, tf.newaxis, :]

        def through(layers: Sequence[str], x: tf.Tensor) -> tf.Tensor:
            for layer in layers:
                x = _layer(x, under(layer, OF_A_LAYER, self._array), is_valid, turn)
            return x

        shared = through(SHARED, x)
        text, letters = through(WRITING, shared), through(HEARING, shared)
        states = zero_beyond(layer_norm(text, self._array("writing/final_norm")), n_frames)
        x = zero_beyond(layer_norm(letters, self._array("final_norm")), n_frames)
        for block in range(N_HEAD_BLOCKS):
            x = self._head_block(f"head{block}/", x, n_frames)
        x = layer_norm(x, self._array("head_norm"), self._array("head_norm_bias"))
        logits = x @ self._array("labels") + self._array("labels_bias")
        return tf.nn.log_softmax(logits), n_frames, states

    def _features(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """The convolutions, [batch, sample] -> [batch, frame, channel]."""
        # A NaN in the padding would survive every later multiplication by zero.
        x = zero_beyond(waveforms[..., tf.newaxis], valid)
        (_, stride1), (_, stride2), (_, stride3) = CONVOLUTIONS
        x = tf.tanh(convolve(x, self._array("conv1"), stride1))
        x = self._group_norm(x, _n_frames(valid, CONVOLUTIONS[:1]))
        x = convolve(x, self._array("conv2"), stride2) + self._array("conv2_bias")
        x = gelu(x)
        x = convolve(x, self._array("conv3"), stride3) + self._array("conv3_bias")
        return gelu(x)

    def _array(self, name: str) -> tf.Variable:
        try:
            return self._weights[name]
        except KeyError:
            raise ModelError(
                f"The weights of `starter` lack the array {name!r}. Install streamer again."
            ) from None

    def _group_norm(self, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        """Normalise over the valid frames and all channels together (one group)."""
        mask = tf.sequence_mask(n_frames, tf.shape(x)[1])[..., tf.newaxis]
        count = tf.cast(n_frames * x.shape[2], x.dtype)[:, tf.newaxis, tf.newaxis]
        count = tf.maximum(count, 1.0)
        mean = tf.reduce_sum(tf.where(mask, x, 0.0), axis=[1, 2], keepdims=True) / count
        deviation = x - mean
        squares = tf.where(mask, tf.square(deviation), 0.0)
        variance = tf.reduce_sum(squares, axis=[1, 2], keepdims=True) / count
        normalised = deviation * tf.math.rsqrt(variance + EPSILON)
        return normalised * self._array("norm_scale") + self._array("norm_bias")

    def _head_block(self, block: str, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        y = layer_norm(x, self._array(block + "norm"), self._array(block + "norm_bias"))
        y = zero_beyond(y, n_frames)
        y = convolve(y, self._array(block + "conv"), 1, "SAME")
        y = gelu(y + self._array(block + "conv_bias"))
        y = multiply(y, self._array(block + "out")) + self._array(block + "out_bias")
        return zero_beyond(x + y, n_frames)


@tf.function(autograph=False)  # type: ignore[untyped-decorator]  # traced once, not nine times
def _layer(
    x: tf.Tensor,
    weights: Mapping[str, tf.Tensor],
    is_valid: tf.Tensor,
    turn: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """One layer of the transformer, [batch, frame, channel] -> the same."""
    y = layer_norm(x, weights["attention_norm"])
    query = rotate(split_heads(multiply(y, weights["query"])), turn)
    key = rotate(split_heads(multiply(y, weights["key"])), turn)
    value = split_heads(multiply(y, weights["value"]))
    x = x + multiply(attention(query, key, value, is_valid), weights["output"])
    y = layer_norm(x, weights["ffn_norm"])
    y = gelu(multiply(y, weights["ffn_in"]) + weights["ffn_in_bias"])
    return x + multiply(y, weights["ffn_out"]) + weights["ffn_out_bias"]


def n_frames_of(n_samples: tf.Tensor | int) -> tf.Tensor | int:
    """How many frames so many samples give."""
    return _n_frames(n_samples, CONVOLUTIONS)


def _n_frames(n: tf.Tensor | int, convolutions: Sequence[tuple[int, int]]) -> tf.Tensor | int:
    """Valid outputs of convolutions (taps, stride) without padding, given `n` valid inputs."""
    for taps, stride in convolutions:
        n = (n - taps) // stride + 1
        n = max(n, 0) if isinstance(n, int) else tf.maximum(n, 0)
    return n


def _is_large(name: str) -> bool:
    """Whether an array is one of the encoder's large matrices; its first kernel is none."""
    return name.endswith(LARGE) and not name.startswith("decoder")


def _unpacked(name: str, packed: Mapping[str, np.ndarray]) -> np.ndarray:
    """An array in float32, as the network takes it.

    In eight bits it is `(NAME - NAME:zero) * NAME:scale`.
    """
    array = packed[name].astype(np.float32)
    if f"{name}:scale" in packed:
        array -= packed[f"{name}:zero"]
        array *= packed[f"{name}:scale"]
    return with_pairs_apart(array) if name.endswith(TURNED) else array
