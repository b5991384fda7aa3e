"""A span of sound -> a fixed-length waveform and its valid length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.audio import Samples


def bucket_for(n_samples: int, buckets: Sequence[int]) -> int:
    """The shortest bucket that holds `n_samples`.

    Args:
        n_samples: At least 0.
        buckets: Lengths in samples that a model is run with, ascending, not empty.

    Raises:
        ValueError: `n_samples` exceeds the longest bucket. The pipeline should have cut the
            utterance, so this is a bug upstream.
    """
    for bucket in buckets:
        if n_samples <= bucket:
            return bucket
    raise ValueError(f"Expected at most {buckets[-1]} samples, found {n_samples}.")


def pad(utterance: Samples, bucket: int) -> Samples:
    """Zero-pad one utterance to the length of its bucket, as a batch of one.

    A model that is compiled once per bucket would be compiled again for any other length, which
    costs seconds in the middle of a sentence.

    Args:
        utterance: Raw samples in [-1, 1], shape [n_samples]. The model normalises, over the valid
            length only: zeros added here must not count.
        bucket: The length in samples that the model is run with, at least n_samples.

    Returns:
        Shape [1, bucket].
    """
    padded = np.zeros((1, bucket), np.float32)
    padded[0, : len(utterance)] = utterance
    return padded
