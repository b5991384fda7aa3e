"""The one form of sound inside: float32, mono, 16 kHz, in [-1, 1].

Whatever comes in is converted here: number format, channels, sample rate. The conversion streams:
its output does not depend on how its input was cut into blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from streamer.errors import AudioError
from streamer.settings import SAMPLE_RATE

Samples = npt.NDArray[np.float32]  # shape [n_samples]

MIN_RATE, MAX_RATE = 4_000, 384_000  # Hz, what microphones and files have, with room to spare
MAX_CHANNELS = 1024  # what libsndfile takes
LOUDEST = 64.0  # A float beyond it is surely an integer that was never scaled.


class Converter:
    """Streaming conversion of blocks of any form to the form inside.

    For every cut `a`: `push(x[:a]) + push(x[a:]) + flush()` equals `push(x) + flush()`.
    """

    def __init__(self, sample_rate: int, channels: int = 1) -> None:
        """Prepare for blocks at `sample_rate` Hz with `channels` channels.

        Raises:
            AudioError: There are no such recordings.
        """
        if not isinstance(sample_rate, int | float | np.number):
            raise AudioError(f"Expected a sample rate in Hz, found {sample_rate!r}.")
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise AudioError(
                f"Expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, found {sample_rate}."
            )
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"Expected 1 to {MAX_CHANNELS} channels, found {channels}.")
        self.sample_rate = sample_rate
        self.channels = channels
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._n_pushed = 0
        self._resampler = (
            None
            if self.sample_rate == SAMPLE_RATE
            else soxr.ResampleStream(self.sample_rate, SAMPLE_RATE, 1, dtype="float32")
        )

    def push(self, block: npt.ArrayLike) -> Samples:
        """Convert one block, shape [n_samples] or [n_samples, channel].

        Integers are scaled by their full range (unsigned ones are centred first), floats are
        taken as they are; channels are averaged.

        Raises:
            AudioError: Not numbers, not finite, not scaled to [-1, 1], or another number of
                channels than said.
        """
        mono = self._down_mix(to_float32(block))
        self._check(mono)
        self._n_pushed += len(mono)
        if self._resampler is None:
            return mono
        resampled: Samples = self._resampler.resample_chunk(mono)
        return resampled

    def flush(self) -> Samples:
        """The end of the stream: what the resampling filter still holds."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest: Samples = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        self.reset()
        return rest

    def _down_mix(self, block: Samples) -> Samples:
        found = 1 if block.ndim == 1 else block.shape[1] if block.ndim == 2 else 0
        if found != self.channels:
            raise AudioError(
                f"Expected samples of shape [n_samples, {self.channels}], "
                f"found shape {list(block.shape)}."
            )
        if block.ndim == 1:
            return block
        # The mean in float64 and rounded once: summing in float32 depends on the block's length.
        with np.errstate(invalid="ignore"):  # infinities of both signs, which are refused
            mono: Samples = block.mean(axis=1, dtype=np.float64).astype(np.float32)
        return mono

    def _check(self, mono: Samples) -> None:
        if not len(mono):
            return
        loudest = float(np.abs(mono).max())
        if not np.isfinite(loudest):
            at = self._n_pushed + int(np.flatnonzero(~np.isfinite(mono))[0])
            raise AudioError(
                f"The sound has a sample that is not a number at {at / self.sample_rate:.3f} s; "
                "expected finite samples. Repair or convert the recording."
            )
        if loudest > LOUDEST:
            raise AudioError(
                f"Expected float samples in [-1, 1], found {loudest:.0f}. "
                "Divide them by their full range (32768 for 16 bits), or give integers."
            )


def as_array(block: npt.ArrayLike) -> npt.NDArray[Any]:
    """What can be an array, as one; an array is not copied.

    Raises:
        AudioError: It cannot be one, or is raw bytes, which do not say what they hold.
    """
    try:
        array = np.asarray(block)
    except ValueError as error:
        raise AudioError(f"Expected an array of samples, found none: {error}") from error
    is_bytes = array.dtype.kind == "S" or array.dtype == np.uint8
    if is_bytes and not hasattr(block, "__array__"):
        raise AudioError(
            f"Expected an array of samples, found raw bytes ({type(block).__name__}). Say what "
            "they hold, for example numpy.frombuffer(block, numpy.int16)."
        )
    return array


def to_float32(block: npt.ArrayLike) -> Samples:
    """Scale an array of any number format to float32 in [-1, 1], keeping its shape.

    Raises:
        AudioError: The array does not hold real numbers.
    """
    array = as_array(block)
    kind = array.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            return array.astype(np.float32, copy=False)
    if array.size == 0:
        return array.astype(np.float32)
    if kind in "iu" and array.dtype.itemsize <= 4:
        half_range = 2.0 ** (8 * array.dtype.itemsize - 1)
        offset = half_range if kind == "u" else 0.0
        return ((array - offset) / half_range).astype(np.float32)
    if kind in "iu":
        # What NumPy makes of a list of integers. Its range says nothing about the samples'.
        raise AudioError(
            f"Expected samples as integers of at most 32 bits or as floats, found {array.dtype}. "
            "Say their width, for example array.astype(np.int16)."
        )
    raise AudioError(f"Expected samples as integers or floats, found {array.dtype}.")


def level_db(samples: Samples) -> float:
    """Root mean square level in decibels of full scale, at least -120."""
    power = float(np.dot(samples, samples)) / max(1, len(samples))
    return 10.0 * float(np.log10(max(power, 1e-12)))
