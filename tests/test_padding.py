from __future__ import annotations

import numpy as np
import pytest

from streamer.padding import bucket_for, pad

BUCKETS = (400, 800, 1600)


@pytest.mark.parametrize(
    ("n_samples", "bucket"), [(0, 400), (1, 400), (400, 400), (401, 800), (1600, 1600)]
)
def test_the_shortest_bucket_that_holds_it_is_taken(n_samples: int, bucket: int) -> None:
    assert bucket_for(n_samples, BUCKETS) == bucket


def test_nothing_is_ever_cut_off_to_fit() -> None:
    with pytest.raises(ValueError, match="Expected at most 1600 samples, found 1601"):
        bucket_for(1601, BUCKETS)
    with pytest.raises(ValueError, match="broadcast"):
        pad(np.ones(401, np.float32), 400)


@pytest.mark.parametrize("n_samples", [0, 1, 399, 400])
def test_a_padded_utterance_is_itself_and_then_zeros(n_samples: int) -> None:
    utterance = np.random.default_rng(0).normal(size=n_samples).astype(np.float32)
    padded = pad(utterance, 400)
    assert padded.shape == (1, 400)
    assert padded.dtype == np.float32
    assert np.array_equal(padded[0, :n_samples], utterance)
    assert not padded[0, n_samples:].any()
