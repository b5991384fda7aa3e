"""Weights in eight bits: a matrix `NAME` is `(NAME - NAME:zero) * NAME:scale`, uint8 and float32.

There is one scale for a whole matrix, as Moonshine has it, or one for each output, whichever loses
less: what comes from Moonshine's eight bits is the same again. Vectors stay as they are, in half
precision. `streamer.models.starter` reads it, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def pack(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Bring float32 weights into eight bits.

    Raises:
        ValueError: Some are not finite.
    """
    found: dict[str, np.ndarray] = {}
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ValueError(f"Expected finite weights, found others in {name}.")
        if array.ndim < 2:
            found[name] = array.astype(np.float16)
            continue
        axes = tuple(range(array.ndim - 1))
        ways = [_in_eight_bits(array, None), _in_eight_bits(array, axes)]
        errors = [np.square((q - zero) * scale - array).sum() for q, zero, scale in ways]
        found[name], found[f"{name}:zero"], found[f"{name}:scale"] = ways[int(np.argmin(errors))]
    return found


def _in_eight_bits(
    array: np.ndarray, axes: tuple[int, ...] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The array as uint8, with the zero point and the scale of what is reduced over `axes`."""
    array = array.astype(np.float64)
    least = np.minimum(array.min(axes, keepdims=axes is not None), 0.0)
    most = np.maximum(array.max(axes, keepdims=axes is not None), 0.0)
    scale = np.maximum((most - least) / 255, 1e-12)
    zero = np.round(-least / scale)
    packed = np.clip(np.round(array / scale + zero), 0, 255).astype(np.uint8)
    return packed, zero.astype(np.float32), scale.astype(np.float32)


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights in float32, whether they are in eight bits or not."""
    found = {}
    for name in packed:
        if ":" not in name:
            found[name] = packed[name].astype(np.float32)
            if f"{name}:scale" in packed:
                found[name] = (found[name] - packed[f"{name}:zero"]) * packed[f"{name}:scale"]
    return found
