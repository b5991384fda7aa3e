"""Any SavedModel that takes waveforms, run as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from streamer.errors import ModelError
from streamer.models.catalogue import WAV2VEC2_960H
from streamer.models.checkpoints import PUBLISHED_CONFIG
from streamer.models.files import read_json
from streamer.models.labels import WAV2VEC2_LABELS, Labels
from streamer.models.masking import normalise, zero_beyond
from streamer.settings import to_seconds

MASKED = (
    "a signature `serving_default` with `waveforms` float32 [batch, samples] and `valid` int32 "
    "[batch] in, `log_probs` float32 [batch, frame, label] and `frames` int32 [batch] out"
)
UNMASKED = "any signature with float32 [batch, samples] in and float32 [batch, frame, label] out"
# So far apart that a frame more or less does not count.
SHORT, LONG = 16_000, 240_000
INTEGERS = (tf.int32, tf.int64)
# https://github.com/thevasudevgupta/gsoc-wav2vec2/blob/main/src/wav2vec2/processor.py, `_normalize`
PUBLISHED_EPSILON = 1e-5


def read(folder: Path, name: str) -> SavedModel | UnmaskedSavedModel:
    """Load a SavedModel of one of the two signatures above.

    Beside `saved_model.pb` there may be `labels.json`, a list of the labels in the order of the
    outputs or an object from label to index (else they are wav2vec2-960h's), and `streamer.json`,
    an object with `name`, `jit_compile` and `normalise`. XLA compiles some networks badly
    (depthwise convolutions on a CPU), so it is not used unless that file or the caller says so.
    `normalise` asks for zero mean and unit variance, where the network takes no valid length.

    Raises:
        ModelError: It cannot be read, or it has another signature.
    """
    settings = read_json(folder / "streamer.json") or {}
    if not isinstance(settings, dict) or not set(settings) <= {"name", "jit_compile", "normalise"}:
        raise ModelError(
            "Expected an object with `name`, `jit_compile` and `normalise` in "
            f"{folder / 'streamer.json'}, found {settings}."
        )
    name = str(settings.get("name", name))
    jit_compile = bool(settings.get("jit_compile", False))
    labels = _read_labels(folder / "labels.json")
    signatures = _signatures(folder)
    for signature in signatures:
        if signature.is_masked:
            return SavedModel(signature, name, labels, jit_compile)
        if signature.is_unmasked:
            epsilon = PUBLISHED_EPSILON if settings.get("normalise", False) else None
            return UnmaskedSavedModel(signature, name, labels, jit_compile, epsilon)
    found = "; ".join(map(str, signatures)) or "nothing in, nothing out"
    raise ModelError(f"Expected {MASKED}, or {UNMASKED}, in {folder}, found {found}.")


def published(folder: Path) -> UnmaskedSavedModel:
    """Load the published wav2vec2-960h to run its own graph, as its users do.

    They normalise the sound, pad it with zeros, and compile the graph, which cannot be run
    otherwise everywhere. Unlike them, frames beyond the sound are left out here.

    Raises:
        ModelError: It cannot be read.
    """
    signature = next((each for each in _signatures(folder) if each.is_unmasked), None)
    if signature is None:
        raise ModelError(f"Expected {UNMASKED} in {folder}, the published {WAV2VEC2_960H}.")
    name = f"{WAV2VEC2_960H}@published"
    model = UnmaskedSavedModel(signature, name, WAV2VEC2_LABELS, True, PUBLISHED_EPSILON)
    model.hop, model.receptive_field = PUBLISHED_CONFIG.hop, PUBLISHED_CONFIG.receptive_field
    return model


class SavedModel:
    """A SavedModel that knows how much of its input is valid."""

    length: int | None = None
    shortest: int | None = SHORT  # It does not tell what a frame sees; a second is no hardship.
    caveat: str | None = None

    def __init__(self, signature: _Signature, name: str, labels: Labels, jit_compile: bool) -> None:
        """Take a loaded signature.

        Raises:
            ModelError: It does not fit the labels, or cannot be run.
        """
        self.name = name
        self.labels = labels
        self.jit_compile = jit_compile
        self._signature = signature
        _check_labels(signature.outputs["log_probs"], labels, signature.folder)
        self.hop = self._measure_hop()
        self.receptive_field = self.hop  # A SavedModel does not tell what a frame sees.

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `streamer.models.compiled.AcousticModel` says."""
        outputs = self._signature.call(waveforms=waveforms, valid=valid)
        return outputs["log_probs"], outputs["frames"]

    def _measure_hop(self) -> int:
        """Samples from one frame to the next, from how many frames more sound gives."""
        try:
            _, n_frames = self(tf.zeros([2, LONG]), tf.constant([SHORT, LONG], tf.int32))
        except tf.errors.OpError as error:
            raise ModelError(
                f"The SavedModel in {self._signature.folder} cannot be run: {error.message}. "
                f"Expected {MASKED}."
            ) from error
        short, long = n_frames.numpy().tolist()
        return _hop(short, long, self._signature.folder)


class UnmaskedSavedModel:
    """A SavedModel that takes no valid length: it hears its padding as silence.

    Attributes:
        length: The one number of samples that it takes; None if it takes any.
        shortest: From how many on it takes any; None if it takes one.
        caveat: What that costs its user.
    """

    def __init__(
        self,
        signature: _Signature,
        name: str,
        labels: Labels,
        jit_compile: bool,
        epsilon: float | None,
    ) -> None:
        """Take a loaded signature.

        Args:
            signature: Of one input and one output.
            name: What the model is called.
            labels: What its outputs stand for.
            jit_compile: Whether XLA compiles it.
            epsilon: Added to the variance when the sound is normalised; None does not normalise.

        Raises:
            ModelError: It does not fit the labels, or cannot be run.
        """
        self.name = name
        self.labels = labels
        self.jit_compile = jit_compile
        self._signature = signature
        self._epsilon = epsilon
        ((self._input, waveforms),) = signature.inputs.items()
        ((self._output, output),) = signature.outputs.items()
        _check_labels(output, labels, signature.folder)
        self.length: int | None = waveforms.shape[1]
        if self.length is None:
            short, long = self._n_frames(SHORT), self._n_frames(LONG)
            self.hop = _hop(short, long, signature.folder)
            self.receptive_field = max(LONG - (long - 1) * self.hop, 1)
            shape = "takes no valid length"
        else:
            n_frames = output.shape[1] or self._n_frames(self.length)
            if not 0 < n_frames <= self.length:
                raise ModelError(
                    f"The SavedModel in {signature.folder} gives {n_frames} frames for its "
                    f"{self.length} samples; expected some, and no more than there are samples."
                )
            self.hop = self.length // n_frames
            self.receptive_field = self.length - (n_frames - 1) * self.hop
            shape = f"always computes {to_seconds(self.length):g} s of sound, however short it is"
        self.shortest = None if self.length else self.receptive_field
        self.caveat = (
            f"{name} {shape}; what is shorter is padded, and the padding is heard as silence, "
            "which costs accuracy."
        )

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `AcousticModel` says, but for the padding, which does count."""
        x = zero_beyond(waveforms[..., tf.newaxis], valid)
        if self._epsilon is not None:
            x = normalise(x, valid, self._epsilon)
        # Of log-probabilities this is the identity.
        log_probs = tf.nn.log_softmax(self._run(x[..., 0]))
        n_frames = tf.maximum((valid - self.receptive_field) // self.hop + 1, 0)
        return log_probs, tf.minimum(n_frames, tf.shape(log_probs)[1])

    def _n_frames(self, n_samples: int) -> int:
        try:
            return int(self._run(tf.zeros([1, n_samples])).shape[1])
        except tf.errors.OpError as error:
            raise ModelError(
                f"The SavedModel in {self._signature.folder} cannot be run: {error.message}. "
                f"Expected {UNMASKED}."
            ) from error

    def _run(self, waveforms: tf.Tensor) -> tf.Tensor:
        return self._signature.call(**{self._input: waveforms})[self._output]


@dataclass(frozen=True)
class _Signature:
    """A function of a SavedModel, with the names and forms of what goes in and comes out."""

    call: Any
    loaded: Any  # kept alive: the function refers to its variables weakly
    folder: Path  # for messages

    @property
    def inputs(self) -> dict[str, Any]:
        inputs: dict[str, Any] = self.call.structured_input_signature[1]
        return inputs

    @property
    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = self.call.structured_outputs
        return outputs

    @property
    def is_masked(self) -> bool:
        """Whether it is what `MASKED` says, but for a kind of integer that does as well."""
        waveforms, valid = (2, tf.float32), (1, tf.int32)
        return (
            _forms(self.inputs) == {"waveforms": waveforms, "valid": valid}
            and all(size is None for spec in self.inputs.values() for size in spec.shape)
            and _forms(self.outputs)
            in [{"log_probs": (3, tf.float32), "frames": (1, kind)} for kind in INTEGERS]
        )

    @property
    def is_unmasked(self) -> bool:
        """Whether one [batch, samples] goes in, and one [batch, frame, label] comes out."""
        forms = [list(_forms(specs).values()) for specs in (self.inputs, self.outputs)]
        return forms == [[(2, tf.float32)], [(3, tf.float32)]] and all(
            spec.shape[0] in (None, 1) for spec in self.inputs.values()
        )

    def __str__(self) -> str:
        inputs, outputs = (
            ", ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in specs.items())
            for specs in (self.inputs, self.outputs)
        )
        return f"{inputs} in, {outputs} out"


def _forms(specs: dict[str, Any]) -> dict[str, tuple[int | None, Any]]:
    """Number of axes and type of each."""
    return {name: (spec.shape.rank, spec.dtype) for name, spec in specs.items()}


def _signatures(folder: Path) -> list[_Signature]:
    """The functions of a SavedModel, that of `serving_default` first.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises whatever its parser met.
        raise ModelError(f"The SavedModel in {folder} cannot be read: {error}") from error
    names = sorted(loaded.signatures, key=lambda name: (name != "serving_default", name))
    return [_Signature(loaded.signatures[name], loaded, folder) for name in names]


def _check_labels(output: Any, labels: Labels, folder: Path) -> None:
    n_outputs = output.shape[-1]
    if n_outputs is not None and n_outputs != len(labels.symbols):
        raise ModelError(
            f"The SavedModel in {folder} has {n_outputs} outputs but {len(labels.symbols)} labels; "
            "put the right ones into labels.json beside it."
        )


def _hop(short: int, long: int, folder: Path) -> int:
    """Samples from one frame to the next, from the frames of `SHORT` and `LONG` samples."""
    if long <= short:
        raise ModelError(
            f"The SavedModel in {folder} gives {short} and {long} frames for 1 and 15 seconds; "
            "expected more for 15."
        )
    return round((LONG - SHORT) / (long - short))


def _read_labels(path: Path) -> Labels:
    symbols = read_json(path)
    if symbols is None:
        return WAV2VEC2_LABELS
    if isinstance(symbols, dict):
        names = {number: symbol for symbol, number in symbols.items() if isinstance(number, int)}
        symbols = [names.get(number) for number in range(len(symbols))]
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise ModelError(f"Expected a list of labels or an object from label to index in {path}.")
    return Labels.from_symbols(symbols)
