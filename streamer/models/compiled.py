"""An acoustic model behind fixed shapes: buckets, jit compilation, warm-up."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

import numpy as np
import tensorflow as tf

from streamer.alignment import LogProbs
from streamer.audio import Samples
from streamer.config import NoiseGate
from streamer.decoder import FrameGrid, Heard
from streamer.errors import ModelError
from streamer.models import compiled_code
from streamer.models.labels import Labels
from streamer.padding import bucket_for, pad


class AcousticModel(Protocol):
    """A CTC network over raw waveforms.

    Calling it takes raw 16 kHz samples in [-1, 1], float32 [batch, samples], and the number of
    valid ones, int32 [batch]; it returns log-probabilities, float32 [batch, frame, label], and the
    number of valid frames, int32 [batch]. Whatever lies beyond the valid samples changes nothing.

    Attributes:
        name: What it is called in events.
        labels: What the last axis stands for.
        hop: Samples from one frame to the next.
        receptive_field: Samples that one frame sees; with fewer there is no frame.
        jit_compile: Whether XLA makes it faster; most networks, not all.
    """

    name: str
    labels: Labels
    hop: int
    receptive_field: int
    jit_compile: bool

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Run the network."""
        ...


class CompiledModel:
    """An acoustic model, compiled once for each of a few lengths and never again.

    Compiling a length takes seconds. `warm_up` does it for all of them; without it each is compiled
    when it is first needed. Any number of threads may use it. The weights exist once, whatever the
    number of buckets.

    Attributes:
        longest: The longest bucket: how many samples one call takes at most.
        stable_lag_s, noise_gate, needs_context: See `streamer.recogniser.Model`.
        n_traces: How often the network was traced: at most once for each bucket, and for each
            number of utterances given to `log_probs_of_batch`.
    """

    stable_lag_s = 0.8
    noise_gate = NoiseGate()
    needs_context = False

    def __init__(
        self, model: AcousticModel, buckets: Sequence[int], *, jit_compile: bool | None = None
    ) -> None:
        """Prepare without compiling anything.

        Args:
            model: The network.
            buckets: Lengths in samples, ascending, not empty.
            jit_compile: Whether XLA compiles it; None leaves it to the model.
        """
        if not buckets or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"Expected ascending lengths, found {list(buckets)}.")
        self.name = model.name
        self.labels = model.labels
        self.grid = FrameGrid(model.hop, model.receptive_field)
        self.buckets = tuple(buckets)
        self.longest = self.buckets[-1]
        middle = self.buckets[len(self.buckets) // 2]
        self._warm_up_order = tuple(dict.fromkeys((middle, self.longest, *self.buckets)))
        self.n_traces = 0
        self._model = model
        self._jit_compile = model.jit_compile if jit_compile is None else jit_compile
        self._is_partly_warm = False
        self._calls: dict[tuple[int, int], Callable[..., tuple[tf.Tensor, ...]]] = {}
        self._locks: dict[tuple[int, int], Lock] = {}

    def warm_up(self, keep_going: Callable[[int, int], bool] = lambda done, total: True) -> None:
        """Compile every bucket: a middle one first, which most utterances fit in; then the longest.

        Until its own is there, an utterance is padded to a longer one: what somebody says while
        the model is loading does not wait until all are compiled.

        Args:
            keep_going: Asked before each with how many are compiled and how many there are, and
                told at the end; False ends the warm-up.
        """
        self._is_partly_warm = True
        for n_compiled, bucket in enumerate(self._warm_up_order):
            if not keep_going(n_compiled, len(self.buckets)):
                return
            self._compiled(bucket)
        self._is_partly_warm = False
        keep_going(len(self.buckets), len(self.buckets))

    def is_ready(self, n_samples: int) -> bool:
        """Whether so many samples need not wait for a warm-up that has not come to its end."""
        return not self._is_partly_warm or (self._bucket_for(n_samples), 1) in self._calls

    def hear(self, utterance: Samples) -> Heard:
        """Make of raw samples, shape [n_samples], n_samples <= longest, what there is to make."""
        return Heard(self.log_probs(utterance))

    def log_probs(self, utterance: Samples) -> LogProbs:
        """Run the network on raw samples, shape [n_samples], n_samples <= longest.

        Returns:
            The log-probabilities of the valid frames, [frame, label].
        """
        if len(utterance) < self.grid.receptive_field:
            return np.zeros((0, len(self.labels.symbols)), np.float32)
        return self.log_probs_of_batch([utterance])[0]

    def log_probs_of_batch(self, utterances: Sequence[Samples]) -> list[LogProbs]:
        """Run the network on several utterances at once, each as `log_probs` takes it.

        Each number of utterances is compiled when it first comes, for each bucket it comes with:
        give the same number every time. A processor gains little by it, an accelerator much.

        Returns:
            For each, the log-probabilities of its valid frames, [frame, label].
        """
        valid = [len(utterance) for utterance in utterances]
        bucket = self._bucket_for(max(valid), len(utterances))
        waveforms = np.concatenate([pad(utterance, bucket) for utterance in utterances])
        log_probs, n_frames, *_ = self._compiled(bucket, len(utterances))(
            tf.constant(waveforms), tf.constant(valid, tf.int32)
        )
        return [row[:n] for row, n in zip(log_probs.numpy(), n_frames.numpy(), strict=True)]

    def _bucket_for(self, n_samples: int, batch_size: int = 1) -> int:
        """The shortest bucket for so many samples; before all are compiled, of those that are."""
        if self._is_partly_warm and batch_size == 1:
            long_enough = [bucket for bucket in self._warm_up_order if bucket >= n_samples]
            compiled = [bucket for bucket in long_enough if (bucket, 1) in self._calls]
            if long_enough:
                return min(compiled, default=long_enough[0])
        return bucket_for(n_samples, self.buckets)

    def _network(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """What is compiled: log-probabilities, valid frames, and what else a model computes."""
        return self._model(waveforms, valid)

    def _compiled(self, bucket: int, batch_size: int = 1) -> Callable[..., tuple[tf.Tensor, ...]]:
        """The function of a shape, compiled by the first who asks while the others wait."""
        with self._locks.setdefault((bucket, batch_size), Lock()):
            if (bucket, batch_size) not in self._calls:
                self._calls[bucket, batch_size] = self._compile(bucket, batch_size)
            return self._calls[bucket, batch_size]

    def _compile(self, bucket: int, batch_size: int) -> Callable[..., tuple[tf.Tensor, ...]]:
        def traced(waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, ...]:
            self.n_traces += 1  # Runs while tracing only.
            return self._network(waveforms, valid)

        return self._compile_for(
            traced, tf.zeros([batch_size, bucket]), tf.fill([batch_size], bucket)
        )

    def _compile_for(
        self, function: Callable[..., tuple[tf.Tensor, ...]], *examples: tf.Tensor
    ) -> Callable[..., tuple[tf.Tensor, ...]]:
        """Compile a function for the shapes of these examples, and for no others."""
        # A concrete function takes these shapes and can never be traced again.
        call = tf.function(
            function, jit_compile=self._jit_compile, autograph=False
        ).get_concrete_function(*(tf.TensorSpec.from_tensor(x) for x in examples))
        try:
            call(*examples)  # XLA compiles when it is first called.
        except tf.errors.OpError as error:
            # What was kept of an earlier start may be damaged.
            if self._jit_compile and compiled_code.forget():
                return self._compile_for(function, *examples)
            how = "with XLA; --no-jit-compile does without it" if self._jit_compile else "as it is"
            raise ModelError(
                f"The model {self.name} cannot be run {how}: {error.message}"
            ) from error
        _give_back_memory()
        return call  # type: ignore[no-any-return]


def _give_back_memory() -> None:
    """Return what compiling took and freed: 80 MB after five buckets of wav2vec2-960h.

    glibc keeps it otherwise; other C libraries have no such call and need none.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return
