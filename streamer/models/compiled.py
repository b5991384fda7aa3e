"""An acoustic model behind padding: buckets, jit compilation, warm-up."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

import numpy as np
import tensorflow as tf

from streamer.alignment import LogProbs
from streamer.audio import Samples
from streamer.decoder import FrameGrid, Heard
from streamer.errors import ModelError
from streamer.models import compiled_code
from streamer.models.labels import Labels
from streamer.padding import bucket_for, pad
from streamer.settings import NoiseGate, to_samples, to_seconds

# Without XLA any length costs what it is long; but what TensorFlow prepares for a length it keeps,
# 4 MB of `starter`. So lengths are rounded up to the grain, and beyond 4 s, where padding is less
# of the whole, to two of them: 20 lengths instead of 31, for a hundredth of the time.
GRAIN = to_samples(0.5)
FINE = to_samples(4.0)

Shape = tuple[int | None, int | None]  # of waveforms: batch, samples; None is any


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
        jit_compile: Whether XLA is worth what it costs: compiling, and padding to what is compiled.
        shortest: From how many samples on one graph of it takes any number; None if each number
            needs a graph of its own.
    """

    name: str
    labels: Labels
    hop: int
    receptive_field: int
    jit_compile: bool
    shortest: int | None

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Run the network."""
        ...


class CompiledModel:
    """An acoustic model, made ready once and never again.

    With XLA it is compiled for each of a few lengths, which takes seconds for each. Without, one
    graph takes all lengths, if the model's can. `warm_up` does all of it; otherwise it is done when
    it is first needed. Any number of threads may use it. The weights exist once, whatever the
    number of buckets.

    Attributes:
        buckets: The lengths in samples that it is run with, ascending.
        longest: The longest bucket: how many samples one call takes at most.
        stable_lag_s, noise_gate, needs_context: See `streamer.recogniser.Model`.
        n_traces: How often the network was traced: once where one graph takes all lengths, else at
            most once for each bucket and each number of utterances given to `log_probs_of_batch`.
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
            buckets: Lengths in samples, ascending, not empty. Where one graph takes all lengths,
                only the longest counts.
            jit_compile: Whether XLA compiles it; None leaves it to the model.
        """
        if not buckets or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"Expected ascending lengths, found {list(buckets)}.")
        self.name = model.name
        self.labels = model.labels
        self.grid = FrameGrid(model.hop, model.receptive_field)
        self.longest = buckets[-1]
        self.n_traces = 0
        self._model = model
        self._jit_compile = model.jit_compile if jit_compile is None else jit_compile
        shortest = None if self._jit_compile else model.shortest
        self._takes_any_length = shortest is not None
        if shortest is not None:
            first = math.ceil(shortest / GRAIN) * GRAIN
            fine = range(first, min(FINE, self.longest), GRAIN)
            coarse = range(max(first, FINE), self.longest, 2 * GRAIN)
            self.buckets = (*fine, *coarse, self.longest)
            self._warm_up_order: tuple[int, ...] = self.buckets[:1]
        else:
            self.buckets = tuple(buckets)
            middle = self.buckets[len(self.buckets) // 2]
            self._warm_up_order = tuple(dict.fromkeys((middle, self.longest, *self.buckets)))
        self._is_partly_warm = False
        self._calls: dict[Shape, Callable[..., tuple[tf.Tensor, ...]]] = {}
        self._locks: dict[Shape, Lock] = {}

    def warm_up(self, keep_going: Callable[[int, int], bool] = lambda done, total: True) -> None:
        """Make every bucket ready: a middle one first, which most utterances fit in; the longest.

        Until its own is there, an utterance is padded to a longer one: what somebody says while
        the model is loading does not wait for all. One graph for all lengths is one step.

        Args:
            keep_going: Asked before each step with how many are done and how many there are, and
                told at the end; False ends the warm-up.
        """
        self._is_partly_warm = True
        try:
            for n_done, bucket in enumerate(self._warm_up_order):
                if not keep_going(n_done, len(self._warm_up_order)):
                    return
                self._compiled(1, bucket)
        finally:
            self._is_partly_warm = False
        keep_going(len(self._warm_up_order), len(self._warm_up_order))

    def is_ready(self, n_samples: int) -> bool:
        """Whether so many samples need not wait for a warm-up that has not come to its end."""
        shape = self._shape(1, self._bucket_for(n_samples))
        return not self._is_partly_warm or shape in self._calls

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

        Where not one graph takes all, each number of utterances is compiled when it first comes,
        for each bucket it comes with: give the same number every time. A processor gains little by
        it, an accelerator much.

        Returns:
            For each, the log-probabilities of its valid frames, [frame, label].
        """
        log_probs, n_frames, *_ = self._run(utterances)
        return [row[:n] for row, n in zip(log_probs.numpy(), n_frames.numpy(), strict=True)]

    def _run(self, utterances: Sequence[Samples]) -> tuple[tf.Tensor, ...]:
        """All that the network computes of some utterances, padded to one bucket.

        Raises:
            ModelError: It cannot take so much, though a call for the warm-up went well.
        """
        valid = [len(utterance) for utterance in utterances]
        bucket = self._bucket_for(max(valid), len(utterances))
        waveforms = np.concatenate([pad(utterance, bucket) for utterance in utterances])
        run = self._compiled(len(utterances), bucket)
        try:
            return run(tf.constant(waveforms), tf.constant(valid, tf.int32))
        except tf.errors.OpError as error:
            raise ModelError(
                f"The model {self.name} cannot be run on {to_seconds(bucket):.1f} s of sound: "
                f"{error.message}"
            ) from error

    def _bucket_for(self, n_samples: int, batch_size: int = 1) -> int:
        """The shortest bucket for so many samples; before all are compiled, of those that are."""
        if self._is_partly_warm and batch_size == 1:
            long_enough = [bucket for bucket in self._warm_up_order if bucket >= n_samples]
            compiled = [bucket for bucket in long_enough if self._shape(1, bucket) in self._calls]
            if long_enough:
                return min(compiled, default=long_enough[0])
        return bucket_for(n_samples, self.buckets)

    def _network(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """What is compiled: log-probabilities, valid frames, and what else a model computes."""
        return self._model(waveforms, valid)

    def _shape(self, batch_size: int, bucket: int) -> Shape:
        """What such waveforms must be compiled for."""
        return (None, None) if self._takes_any_length else (batch_size, bucket)

    def _compiled(self, batch_size: int, bucket: int) -> Callable[..., tuple[tf.Tensor, ...]]:
        """The function of a shape, compiled by the first who asks while the others wait."""
        shape = self._shape(batch_size, bucket)
        with self._locks.setdefault(shape, Lock()):
            if shape not in self._calls:
                self._calls[shape] = self._compile(batch_size, bucket)
            return self._calls[shape]

    def _compile(self, batch_size: int, bucket: int) -> Callable[..., tuple[tf.Tensor, ...]]:
        def traced(waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, ...]:
            self.n_traces += 1  # Runs while tracing only.
            return self._network(waveforms, valid)

        shape = self._shape(batch_size, bucket)
        specs = (tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape[:1], tf.int32))
        examples = (tf.zeros([batch_size, bucket]), tf.fill([batch_size], bucket))
        return self._compile_for(traced, specs, examples, jit_compile=self._jit_compile)

    def _compile_for(
        self,
        function: Callable[..., tuple[tf.Tensor, ...]],
        specs: Sequence[tf.TensorSpec],
        examples: Sequence[tf.Tensor],
        *,
        jit_compile: bool,
    ) -> Callable[..., tuple[tf.Tensor, ...]]:
        """Make a function ready for such arrays, with some to run it for the first time."""
        # A concrete function takes such arrays alone and can never be traced again.
        call = tf.function(
            function, jit_compile=jit_compile, autograph=False
        ).get_concrete_function(*specs)
        try:
            call(*examples)  # XLA compiles when it is first called.
        except tf.errors.OpError as error:
            # What was kept of an earlier start may be damaged.
            if jit_compile and compiled_code.forget():
                return self._compile_for(function, specs, examples, jit_compile=jit_compile)
            how = "with XLA; --no-jit-compile does without it" if jit_compile else "as it is"
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
