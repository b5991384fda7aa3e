"""The shape of a wav2vec 2.0 or HuBERT network, read from its checkpoint; and what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamer.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wav2Vec2Config:
    """The shape of one network. The defaults are those of wav2vec2-base-960h.

    Each field stands in a checkpoint's `config.json` under the name behind it, `normalise` in its
    `preprocessor_config.json`.
    """

    conv_dims: tuple[int, ...] = (512,) * 7  # conv_dim: channels after each convolution
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)  # conv_kernel
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)  # conv_stride
    conv_bias: bool = False  # conv_bias
    conv_layer_norm: bool = False  # feat_extract_norm: `layer` after each, or `group` after one
    projection_norm: bool = True  # feat_proj_layer_norm: HuBERT may have none
    hidden_size: int = 768  # hidden_size
    n_layers: int = 12  # num_hidden_layers
    n_heads: int = 12  # num_attention_heads
    intermediate_size: int = 3072  # intermediate_size
    position_kernel: int = 128  # num_conv_pos_embeddings
    position_groups: int = 16  # num_conv_pos_embedding_groups
    pre_norm: bool = False  # do_stable_layer_norm
    layer_norm_epsilon: float = 1e-5  # layer_norm_eps
    n_labels: int = 32  # vocab_size
    normalise: bool = True  # do_normalize

    @classmethod
    def from_json(
        cls, config: Mapping[str, Any], preprocessor: Mapping[str, Any]
    ) -> Wav2Vec2Config:
        """Read the contents of `config.json` and `preprocessor_config.json`.

        What they do not say is as in `transformers`, whose defaults are this class's.

        Raises:
            ModelError: The network is of another kind, or has a part that is not supported.
        """
        _refuse_unsupported(config, preprocessor)
        base = cls()
        try:
            read = cls(
                conv_dims=tuple(config.get("conv_dim", base.conv_dims)),
                conv_kernels=tuple(config.get("conv_kernel", base.conv_kernels)),
                conv_strides=tuple(config.get("conv_stride", base.conv_strides)),
                conv_bias=bool(config.get("conv_bias", base.conv_bias)),
                conv_layer_norm=config.get("feat_extract_norm", "group") == "layer",
                projection_norm=bool(config.get("feat_proj_layer_norm", True)),
                hidden_size=int(config.get("hidden_size", base.hidden_size)),
                n_layers=int(config.get("num_hidden_layers", base.n_layers)),
                n_heads=int(config.get("num_attention_heads", base.n_heads)),
                intermediate_size=int(config.get("intermediate_size", base.intermediate_size)),
                position_kernel=int(config.get("num_conv_pos_embeddings", base.position_kernel)),
                position_groups=int(
                    config.get("num_conv_pos_embedding_groups", base.position_groups)
                ),
                pre_norm=bool(config.get("do_stable_layer_norm", base.pre_norm)),
                layer_norm_epsilon=float(config.get("layer_norm_eps", base.layer_norm_epsilon)),
                n_labels=int(config.get("vocab_size", base.n_labels)),
                normalise=bool(preprocessor.get("do_normalize", base.normalise)),
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"The checkpoint's config.json makes no sense: {error}.") from error
        convolutions = (read.conv_dims, read.conv_kernels, read.conv_strides)
        sizes = [size for sizes in convolutions for size in sizes]
        sizes += [read.hidden_size, read.n_layers, read.n_heads, read.intermediate_size]
        sizes += [read.position_kernel, read.position_groups, read.n_labels]
        if (
            not all(isinstance(size, int) and size > 0 for size in sizes)
            or not read.conv_dims
            or len({len(sizes) for sizes in convolutions}) != 1
            or read.hidden_size % read.n_heads
        ):
            raise ModelError(
                "The checkpoint's config.json makes no sense: expected sizes above 0, `conv_dim`, "
                "`conv_kernel` and `conv_stride` of one length above 0, and `hidden_size` a "
                f"multiple of `num_attention_heads`, found {read}."
            )
        return read

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.conv_strides)

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees."""
        n_samples = 1
        for kernel, stride in zip(self.conv_kernels[::-1], self.conv_strides[::-1], strict=True):
            n_samples = (n_samples - 1) * stride + kernel
        return n_samples

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, as the published SavedModel has them.

        A `kernel` is [input, output], that of a convolution [tap, input, output].
        """
        shapes: dict[str, tuple[int, ...]] = {}
        hidden, features = self.hidden_size, self.conv_dims[-1]

        def dense(name: str, n_in: int, n_out: int) -> None:
            shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = (n_in, n_out), (n_out,)

        def norm(name: str, size: int) -> None:
            shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (size,)

        n_in = 1
        for i, (n_out, taps) in enumerate(zip(self.conv_dims, self.conv_kernels, strict=True)):
            layer = f"feature_extractor/conv_layers/{i}"
            shapes[f"{layer}/conv/kernel"] = (taps, n_in, n_out)
            if self.conv_bias:
                shapes[f"{layer}/conv/bias"] = (n_out,)
            if self.conv_layer_norm or i == 0:
                norm(f"{layer}/layer_norm", n_out)
            n_in = n_out
        if self.projection_norm:
            norm("feature_projection/layer_norm", features)
        dense("feature_projection/projection", features, hidden)
        position = "encoder/pos_conv_embed/conv"
        shapes[f"{position}/weight_g"] = (self.position_kernel, 1, 1)
        shapes[f"{position}/weight_v"] = (
            self.position_kernel,
            hidden // self.position_groups,
            hidden,
        )
        shapes[f"{position}/bias"] = (hidden,)
        norm("encoder/layer_norm", hidden)
        for i in range(self.n_layers):
            layer = f"encoder/layers/{i}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                dense(f"{layer}/attention/{part}", hidden, hidden)
            norm(f"{layer}/layer_norm", hidden)
            dense(f"{layer}/feed_forward/intermediate_dense", hidden, self.intermediate_size)
            dense(f"{layer}/feed_forward/output_dense", self.intermediate_size, hidden)
            norm(f"{layer}/final_layer_norm", hidden)
        dense("lm_head", hidden, self.n_labels)
        return shapes


def _refuse_unsupported(config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> None:
    """Name the first thing that this network does not have.

    Raises:
        ModelError: There is one.
    """
    for where, key, supported, default in (
        (config, "model_type", ("wav2vec2", "hubert"), None),
        (config, "feat_extract_norm", ("group", "layer"), "group"),
        (config, "feat_extract_activation", ("gelu",), "gelu"),
        (config, "hidden_act", ("gelu",), "gelu"),
        (config, "add_adapter", (False,), False),
        (config, "adapter_attn_dim", (None,), None),  # MMS has one adapter for each language
        (config, "conv_pos_batch_norm", (False,), False),
        (preprocessor, "sampling_rate", (16_000,), 16_000),
    ):
        found = where.get(key, default)
        if found not in supported:
            raise ModelError(
                f"Expected `{key}` to be {' or '.join(map(repr, supported))} in the checkpoint's "
                f"configuration, found {found!r}: this kind of network is not supported."
            )
