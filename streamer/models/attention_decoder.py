"""The second pass of `starter`: an attention decoder that writes text from what the encoder heard.

The decoder of Moonshine tiny (MIT, https://github.com/moonshine-ai/moonshine; Jeffries et al. 2024,
https://arxiv.org/abs/2410.15608): six transformer layers that attend to what was written and to
the sound, over a vocabulary of word pieces. It knows words, case and punctuation, which CTC does
not; it does not know when a word was said, which CTC does.

It writes greedily, and several tokens at a time where they can be guessed: what it wrote of the
same utterance a quarter of a second ago is almost what it will write now, and CTC has heard most
words, too (`streamer.models.draft`). What followed the last token there is read with it, in one
block, and kept as far as it is what would be written anyway (speculative decoding, Leviathan et al.
2023, https://arxiv.org/abs/2211.17192). So guesses decide how long it takes, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import tensorflow as tf

from streamer.models.transformer import attention, layer_norm, rotate, rotation, split_heads, under
from streamer.settings import SAMPLE_RATE

N_LAYERS = 6
BLOCK = 8  # tokens read at once: about as quick as one, because a layer's weights are read once
# Tokens that are unpacked at once: what they take in float32 stays in the processor's cache.
PART = 2048
BEGIN, END = 1, 2  # the tokens before and after a text
OF_A_LAYER = (
    *("self_norm", "self_query", "self_key", "self_value", "self_output"),
    *("cross_norm", "cross_query", "cross_output"),
    *("ffn_norm", "ffn_in", "ffn_in_bias", "ffn_out", "ffn_out_bias"),
)
# What may be written. Numbers are to be written as they were said, for words to have their time.
WRITTEN = re.compile("[A-Za-z' .,?!-]+")
# Nobody says more, and a decoder that repeats itself must end (Moonshine's own limit, and a few).
TOKENS_PER_S, TOKENS_BESIDES = 6.5, 6

State = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]


def most_tokens(n_samples: int) -> int:
    """How many tokens are written for so much sound at most."""
    return math.ceil(TOKENS_PER_S * n_samples / SAMPLE_RATE) + TOKENS_BESIDES


class AttentionDecoder:
    """Writes the text of one utterance.

    Attributes:
        tokens: What each token writes; a space begins a word.
    """

    def __init__(self, weights: Callable[[str], tf.Tensor], tokens: Sequence[str]) -> None:
        """Take what gives the weights of a name, and the tokens.

        That of the tokens is packed in eight bits: it is almost half of all weights, and a block
        takes as long as they are on their way from memory. (Measured on one core: 7.8 ms, with it
        in float32 9.3 ms.)
        """
        self.tokens = list(tokens)
        self._weights = weights
        cannot = [WRITTEN.fullmatch(token) is None for token in self.tokens]
        self._penalty = np.where(cannot, np.float32(-1e9), np.float32(0))
        self._penalty[END : END + 1] = -1e9  # unless it is the likeliest of all; see `_choose`
        self._is_mark = np.array([_is_mark(token) for token in self.tokens], np.int32)
        self._numbers = {token: number for number, token in reversed([*enumerate(self.tokens)])}

    def text(self, tokens: Sequence[int]) -> str:
        """The text that tokens write."""
        return "".join(self.tokens[token] for token in tokens).strip()

    def confidences(self, tokens: Sequence[int], log_probs: Sequence[float]) -> tuple[float, ...]:
        """How likely each word of the text is, as blanks part it: the product of its tokens.

        Marks do not count: who is not sure of a comma may be sure of the word before it.
        """
        found: list[float] = []
        is_inside = False
        for token, log_prob in zip(tokens, log_probs, strict=True):
            piece = self.tokens[token]
            if not is_inside or piece.startswith(" "):
                is_inside = bool(piece.strip())
                found += [0.0] * is_inside
            if not _is_mark(piece):
                found[-1] += log_prob
        return tuple(math.exp(log_prob) for log_prob in found)

    def guess(self, words: str) -> list[int]:
        """The tokens that would write these words, if they are written so.

        Byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909): of two
        neighbours that are a token together, those that are the most frequent one are joined
        first. Tokens are numbered by that.
        """
        found = []
        for word in words.split():
            pieces = list(f" {word}")
            while True:
                pairs = [self._numbers.get(a + b) for a, b in pairwise(pieces)]
                best = min((p for p in pairs if p is not None), default=None)
                if best is None:
                    break
                at = pairs.index(best)
                pieces[at : at + 2] = [self.tokens[best]]
            found += [self._numbers[piece] for piece in pieces if piece in self._numbers]
        return found

    def memory(self, states: tf.Tensor) -> tf.Tensor:
        """What the layers attend to, computed once for all tokens.

        Args:
            states: The encoder's output, float32 [batch, frame, channel].

        Returns:
            Keys and values of each layer in turn, float32 [batch, 2 * layer, frame, channel].
        """
        names = [f"decoder{i}/cross_{kind}" for i in range(N_LAYERS) for kind in ("key", "value")]
        return tf.stack([states @ self._weights(name) for name in names], axis=1)

    def __call__(
        self,
        memory: tf.Tensor,
        n_frames: tf.Tensor,
        guess: tf.Tensor,
        n_most: tf.Tensor,
        *,
        room: int,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Write what the encoder has heard.

        Args:
            memory: Keys and values of what was heard, float32 [1, 2 * layer, frame, channel].
            n_frames: How many of the frames count, int32 [1].
            guess: `BEGIN` and tokens in the order in which they may be written, int32 [token];
                `END` where there are none.
            n_most: How many tokens are written at most, int32; no more than there is room for.
            room: For how many there is room.

        Returns:
            The tokens, int32 [room], their log-probabilities, float32 [room], and how many of them
            count, int32.
        """
        w = self._weights
        length = room + 1 + BLOCK
        guess = tf.concat([guess, tf.fill([BLOCK], END)], axis=0)
        # What was not guessed is followed by the guess's last token, at the latest: a full stop.
        before_end = tf.maximum(tf.argmax(guess == END, output_type=tf.int32) - 2, 0)
        heard = [split_heads(memory[:, i]) for i in range(2 * N_LAYERS)]
        is_heard = tf.sequence_mask(n_frames, memory.shape[2])[:, tf.newaxis, tf.newaxis, :]
        cosine, sine = rotation(length)
        empty = tf.zeros([1, heard[0].shape[1], length, heard[0].shape[3]])

        def go_on(at: tf.Tensor, is_over: tf.Tensor, *_: object) -> tf.Tensor:
            return tf.logical_not(is_over) & (at < n_most)

        def write(
            at: tf.Tensor,
            _: tf.Tensor,
            place: tf.Tensor,
            written: tf.Tensor,
            log_probs: tf.Tensor,
            past: list[tf.Tensor],
        ) -> State:
            """Read the token at `at`, which is certain, and what follows it in the guess."""
            last = tf.gather(written, at)
            # A mark that was not guessed stands between two words that were.
            place = tf.minimum(place - tf.gather(self._is_mark, last), before_end)
            place = _nearest(guess == last, place)
            # Not a slice: what its beginning is computed from would have to be known to XLA.
            follows = tf.gather(guess, place + tf.range(1, BLOCK))
            read = tf.concat([[last], follows], axis=0)
            here = ([at, 0], [BLOCK, cosine.shape[1]])
            turn = (tf.slice(cosine, *here), tf.slice(sine, *here))
            is_before = tf.range(length) <= at + tf.range(BLOCK)[:, tf.newaxis]
            now = list(past)
            x = self._unpacked(tf.gather(w("tokens"), read))[tf.newaxis]
            for i in range(N_LAYERS):
                pair = slice(2 * i, 2 * i + 2)  # keys and values
                weights = under(f"decoder{i}/", OF_A_LAYER, w)
                x, now[pair] = _layer(
                    x, weights, past[pair], heard[pair], at, turn, is_before, is_heard
                )
            x = layer_norm(x, w("decoder_norm"))[0]
            logits = self._logits(x)
            chosen = self._choose(logits)
            log_prob = tf.gather(logits, chosen, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            # A guess is right if it is what was chosen before it, and so are all guesses before it.
            is_right = tf.cast(read[1:] == chosen[:-1], tf.int32)
            n_new = 1 + tf.reduce_sum(tf.math.cumprod(is_right))
            is_end = (chosen == END) & (tf.range(BLOCK) < n_new)
            is_over = tf.reduce_any(is_end)
            n_new = tf.where(is_over, tf.argmax(is_end, output_type=tf.int32), n_new)
            written = _replaced(written, chosen, at + 1, axis=0)
            log_probs = _replaced(log_probs, log_prob, at + 1, axis=0)
            return at + n_new, is_over, place + n_new, written, log_probs, now

        at, _, _, written, log_probs, _ = tf.while_loop(
            go_on,
            write,
            (
                tf.constant(0),
                tf.constant(False),
                tf.constant(0),
                tf.concat([[BEGIN], tf.fill([room + BLOCK], END)], axis=0),
                tf.zeros([length]),
                [empty] * (2 * N_LAYERS),
            ),
        )
        return written[1 : room + 1], log_probs[1 : room + 1], tf.minimum(at, n_most)

    def _logits(self, x: tf.Tensor) -> tf.Tensor:
        """How likely each token comes next, [token read, vocabulary] from [token read, channel]."""
        packed = self._weights("tokens")
        n_tokens, width = packed.shape
        part = min(PART, n_tokens)

        def logits_from(first: tf.Tensor) -> tf.Tensor:
            # Sizes without -1: XLA would make room for twice as much.
            rows = self._unpacked(tf.slice(packed, [first, 0], [part, width]))
            # In this order, what is large is read as it lies: a tenth of the whole block's time.
            return tf.matmul(rows, x, transpose_b=True)

        firsts = tf.minimum(tf.range(0, n_tokens, part), n_tokens - part)
        parts = tf.map_fn(logits_from, firsts, fn_output_signature=x.dtype)
        n_twice = part * parts.shape[0] - n_tokens  # rows that the last part shares with the others
        all_but_last = tf.reshape(parts[:-1], [-1, x.shape[0]])
        return tf.transpose(tf.concat([all_but_last, parts[-1, n_twice:]], axis=0))

    def _unpacked(self, rows: tf.Tensor) -> tf.Tensor:
        """Some rows of the matrix of the tokens, in float32."""
        rows = tf.cast(rows, tf.float32)
        return (rows - self._weights("tokens:zero")) * self._weights("tokens:scale")

    def _choose(self, logits: tf.Tensor) -> tf.Tensor:
        """The likeliest token that may be written, [token] from [token, vocabulary].

        The text ends only where its end is the likeliest of all: who would go on with a digit has
        not finished.
        """
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)
        may = tf.argmax(logits + self._penalty, axis=-1, output_type=tf.int32)
        return tf.where(best == END, END, may)


@tf.function(autograph=False)  # type: ignore[untyped-decorator]  # traced once, not six times
def _layer(
    x: tf.Tensor,
    weights: Mapping[str, tf.Tensor],
    past: Sequence[tf.Tensor],
    heard: Sequence[tf.Tensor],
    at: tf.Tensor,
    turn: tuple[tf.Tensor, tf.Tensor],
    is_before: tf.Tensor,
    is_heard: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """One layer for a block of tokens, [batch, token, channel] -> the same, and their past.

    Args:
        x: The block.
        weights: Those of the layer, `OF_A_LAYER`.
        past: Keys and values of all tokens.
        heard: Keys and values of all frames.
        at: Which token the first of the block is.
        turn: Their rotation.
        is_before: Which tokens each of the block may see.
        is_heard: Which frames count.
    """
    y = layer_norm(x, weights["self_norm"])
    keys = _replaced(past[0], rotate(split_heads(y @ weights["self_key"]), turn), at, axis=2)
    values = _replaced(past[1], split_heads(y @ weights["self_value"]), at, axis=2)
    query = rotate(split_heads(y @ weights["self_query"]), turn)
    x = x + attention(query, keys, values, is_before) @ weights["self_output"]
    y = layer_norm(x, weights["cross_norm"])
    query = split_heads(y @ weights["cross_query"])
    x = x + attention(query, heard[0], heard[1], is_heard) @ weights["cross_output"]
    y = layer_norm(x, weights["ffn_norm"])
    y, gate = tf.split(y @ weights["ffn_in"] + weights["ffn_in_bias"], 2, axis=-1)
    x = x + (tf.nn.silu(gate) * y) @ weights["ffn_out"] + weights["ffn_out_bias"]
    return x, [keys, values]


def _is_mark(token: str) -> bool:
    return not any(character.isalpha() for character in token)


def _nearest(is_one: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """The index of a true entry, [n], that is nearest to a place; the place, if there is none."""
    distance = tf.abs(tf.range(is_one.shape[0]) - place)
    distance = tf.where(is_one, distance, is_one.shape[0])
    nearest = tf.argmin(distance, output_type=tf.int32)
    return tf.where(tf.reduce_any(is_one), nearest, place)


def _replaced(x: tf.Tensor, new: tf.Tensor, at: tf.Tensor, axis: int) -> tf.Tensor:
    """`x` with `new` from the index `at` of an axis on."""
    place = tf.range(x.shape[axis]) - at
    inside = (place >= 0) & (place < new.shape[axis])
    moved = tf.gather(new, tf.clip_by_value(place, 0, new.shape[axis] - 1), axis=axis)
    if axis:
        inside = inside[:, tf.newaxis]
    return tf.where(inside, moved, x)
