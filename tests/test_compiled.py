"""A network is compiled once for each of a few lengths; without XLA, once for all lengths."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from streamer.errors import ModelError
from streamer.models.compiled import GRAIN, CompiledModel
from streamer.models.labels import WAV2VEC2_LABELS

BUCKETS = (2_000, 4_000, 6_000)
HOP = 100


class Network:
    """Its frames say how many samples it was given, and how many of them are not zero."""

    name, labels, hop, receptive_field, jit_compile = "tiny", WAV2VEC2_LABELS, HOP, HOP, True

    def __init__(self, shortest: int | None = HOP) -> None:
        self.shortest = shortest
        self.lengths: list[int | None] = []

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self.lengths.append(waveforms.shape[1])  # Runs while tracing only.
        frames = tf.reshape(waveforms, [tf.shape(waveforms)[0], -1, HOP])
        n_given = tf.fill(tf.shape(frames[..., :1]), tf.cast(tf.shape(waveforms)[1], tf.float32))
        n_loud = tf.math.count_nonzero(frames, axis=[1, 2], keepdims=True, dtype=tf.float32)
        columns = [n_given, n_loud + tf.zeros_like(n_given), tf.zeros_like(frames[..., :30])]
        return tf.concat(columns, axis=-1), valid // HOP


def compiled() -> tuple[CompiledModel, Network]:
    network = Network()
    return CompiledModel(network, BUCKETS), network


def given(model: CompiledModel, n_samples: int) -> int:
    """How many samples the network was given for so many."""
    found = model.log_probs(sound(n_samples))
    assert len(found) == n_samples // HOP
    assert np.all(found[:, 1] == n_samples)
    return int(found[0, 0])


def sound(n_samples: int) -> np.ndarray:
    return np.ones(n_samples, np.float32)


def test_each_bucket_is_compiled_once_whatever_the_lengths() -> None:
    model, network = compiled()
    assert model.n_traces == 0
    model.warm_up()
    lengths = [given(model, n_samples) for n_samples in (100, 1_999, 2_000, 2_001, 6_000)]
    assert lengths == [2_000, 2_000, 2_000, 4_000, 6_000]
    assert sorted(network.lengths) == list(BUCKETS)
    assert model.n_traces == 3


def test_what_is_not_compiled_yet_is_not_ready_while_warming_up() -> None:
    model, _ = compiled()
    assert model.is_ready(4_000)  # Nobody warms it up: it would be compiled at once.
    ready = []

    def keep_going(done: int, total: int) -> bool:
        ready.append([model.is_ready(n_samples) for n_samples in (2_000, 4_000, 4_001)])
        return True

    model.warm_up(keep_going)
    # A middle one first, then the longest.
    assert ready == [[False] * 3, [True, True, False], [True] * 3, [True] * 3]


def test_a_longer_bucket_is_used_until_the_right_one_is_compiled() -> None:
    model, network = compiled()

    def keep_going(done: int, total: int) -> bool:
        if done == 1:
            assert given(model, 1_500) == 4_000
        return True

    model.warm_up(keep_going)
    assert given(model, 1_500) == 2_000
    assert network.lengths == [4_000, 6_000, 2_000]


def test_warm_up_ends_when_told() -> None:
    model, _ = compiled()
    asked: list[tuple[int, int]] = []

    def keep_going(done: int, total: int) -> bool:
        asked.append((done, total))
        return done < 1

    model.warm_up(keep_going)
    assert asked == [(0, 3), (1, 3)]
    assert model.n_traces == 1
    # Nobody warms it up any more: what is not compiled is when it is needed.
    assert model.is_ready(1_500)
    assert given(model, 1_500) == 2_000


def test_without_xla_one_graph_takes_all_lengths_and_numbers_of_utterances() -> None:
    network = Network()
    model = CompiledModel(network, [20_000, 36_000], jit_compile=False)
    assert model.buckets == (8_000, 16_000, 24_000, 32_000, 36_000)
    assert model.longest == 36_000
    asked: list[tuple[int, int, bool]] = []
    model.warm_up(lambda done, total: asked.append((done, total, model.is_ready(9_000))) or True)
    assert asked == [(0, 1, False), (1, 1, True)]
    lengths = [given(model, n_samples) for n_samples in (100, GRAIN, GRAIN + 1, 36_000)]
    assert lengths == [8_000, 8_000, 16_000, 36_000]
    together = model.log_probs_of_batch([sound(500), sound(17_000)])
    assert [len(log_probs) for log_probs in together] == [5, 170]
    assert network.lengths == [None]
    with pytest.raises(ValueError, match="at most 36000"):
        model.log_probs(sound(36_001))


def test_long_sound_is_rounded_up_more_coarsely() -> None:
    model = CompiledModel(Network(), [100_000], jit_compile=False)
    assert [given(model, n) for n in (55_900, 56_100, 64_100, 95_900, 96_100)] == [
        56_000,
        64_000,
        80_000,
        96_000,
        100_000,
    ]


def test_a_network_that_fails_at_some_length_is_named() -> None:
    class Limited(Network):
        def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            tf.debugging.assert_less(tf.shape(waveforms)[1], 2 * GRAIN)
            return super().__call__(waveforms, valid)

    model = CompiledModel(Limited(), [20_000], jit_compile=False)
    model.warm_up()
    assert given(model, 100) == GRAIN
    with pytest.raises(ModelError, match="The model tiny cannot be run on 1"):
        model.log_probs(sound(GRAIN + 1))


def test_a_network_with_a_graph_for_each_length_gets_buckets_without_xla_too() -> None:
    network = Network(shortest=None)
    model = CompiledModel(network, BUCKETS, jit_compile=False)
    assert given(model, 2_500) == 4_000
    assert network.lengths == [4_000]


def test_no_graph_is_given_less_than_the_network_takes() -> None:
    model = CompiledModel(Network(shortest=12_000), [20_000, 36_000], jit_compile=False)
    assert model.buckets == (16_000, 24_000, 32_000, 36_000)
    assert given(model, 100) == 16_000
