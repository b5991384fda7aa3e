"""`starter` behind padding: the encoder and its letters, then the decoder and its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import tensorflow as tf

from streamer.audio import Samples
from streamer.beam_search import BeamSearch
from streamer.decoder import Heard
from streamer.language_model import english
from streamer.models.attention_decoder import BEGIN, END, N_LAYERS, most_tokens
from streamer.models.compiled import CompiledModel
from streamer.models.draft import draft
from streamer.models.starter import WIDTH, Starter, n_frames_of
from streamer.settings import NoiseGate

# Of the search for a draft, which is to be quick. (Measured on test-clean: it takes a thousandth of
# the sound's time and leaves a quarter fewer blocks to the decoder than the likeliest letters do.)
DRAFT_WIDTH, DRAFT_LEAST = 8, -5.0


class TwoPassModel(CompiledModel):
    """Hears letters, and writes text.

    The decoder's guesses are drawn from what CTC has heard and what was written last. Calls with
    growing parts of an utterance are the quicker for the latter.
    """

    # A decoder that knows words takes the beginning of one for a whole. (Measured on read speech,
    # 4.1 % WER without partials: with 0.8 s 6.0, with 1.3 s 4.8, with 1.6 s 4.5 %.)
    stable_lag_s = 1.3
    # It has learned what noise is, and hears little in it.
    noise_gate = NoiseGate(lone_letter_confidence=0.97, doubt_per_letter=0.12, least_confidence=0.5)
    needs_context = True

    def __init__(
        self, model: Starter, buckets: Sequence[int], *, jit_compile: bool | None = None
    ) -> None:
        """As `CompiledModel`; None has XLA compile the decoder and not the encoder.

        The decoder's many small steps are half as long with XLA. It has one shape. (Measured:
        another for spans up to 6.5 s takes an eighth less there, 2 s to compile and 36 MB.)
        """
        super().__init__(model, buckets, jit_compile=jit_compile)
        self._compiles_decoder = jit_compile is not False
        self._starter = model
        self._decoder: Callable[..., tuple[tf.Tensor, ...]] | None = None
        self._decoder_lock = Lock()
        self._room = most_tokens(self.longest)
        self._search = BeamSearch(model.labels, english(), width=DRAFT_WIDTH, least=DRAFT_LEAST)
        self._written = ""

    def hear(self, utterance: Samples) -> Heard:
        """Run both passes on raw samples, shape [n_samples], n_samples <= longest."""
        if len(utterance) < self.grid.receptive_field:
            return Heard(self.log_probs(utterance), "")
        log_probs, n_frames, memory = self._run([utterance])
        found = log_probs.numpy()[0, : int(n_frames[0])]
        if not self.labels.text(found.argmax(axis=1).tolist()).strip():
            return Heard(found, "")
        decoder = self._starter.decoder
        drafted = draft(self.labels.text(self._search.best(found)), self._written)
        guessed = [BEGIN, *decoder.guess(drafted)][: self._room]
        guess = np.full(self._room, END, np.int32)
        guess[: len(guessed)] = guessed
        found_tokens, token_log_probs, n_tokens = self._compiled_decoder()(
            memory, n_frames, tf.constant(guess), tf.constant(most_tokens(len(utterance)))
        )
        tokens = found_tokens.numpy()[: int(n_tokens)].tolist()
        sure = decoder.confidences(tokens, token_log_probs.numpy()[: int(n_tokens)].tolist())
        self._written = decoder.text(tokens)
        return Heard(found, self._written, sure)

    def _network(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, ...]:
        log_probs, n_frames, states = self._starter.hear(waveforms, valid)
        memory = self._starter.decoder.memory(states)
        n_missing = n_frames_of(self.longest) - tf.shape(states)[1]
        # As long as the longest, because the decoder is compiled for that.
        return log_probs, n_frames, tf.pad(memory, [[0, 0], [0, 0], [0, n_missing], [0, 0]])

    def _compile(self, batch_size: int, bucket: int) -> Callable[..., tuple[tf.Tensor, ...]]:
        # First and alone: what was kept of its code is found by the numbers of its functions.
        self._compiled_decoder()
        return super()._compile(batch_size, bucket)

    def _compiled_decoder(self) -> Callable[..., tuple[tf.Tensor, ...]]:
        with self._decoder_lock:
            if self._decoder is None:
                examples = (
                    tf.zeros([1, 2 * N_LAYERS, n_frames_of(self.longest), WIDTH]),
                    tf.constant([1], tf.int32),
                    tf.fill([self._room], END),
                    tf.constant(1),  # Not as much as there is room for: it is written at once.
                )

                def write(*heard: tf.Tensor) -> tuple[tf.Tensor, ...]:
                    return self._starter.decoder(*heard, room=self._room)

                self._decoder = self._compile_for(
                    write,
                    [tf.TensorSpec.from_tensor(example) for example in examples],
                    examples,
                    jit_compile=self._compiles_decoder,
                )
            return self._decoder
