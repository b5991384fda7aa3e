"""Any SavedModel that takes waveforms and valid lengths, run as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from streamer.errors import ModelError
from streamer.models.labels import WAV2VEC2_LABELS, Labels

SIGNATURE = (
    "a signature `serving_default` with `waveforms` float32 [batch, samples] and `valid` int32 "
    "[batch] in, `log_probs` float32 [batch, frame, label] and `frames` int32 [batch] out"
)


class SavedModel:
    """A TensorFlow SavedModel of the signature above.

    Beside `saved_model.pb` there may be `labels.json`, a list of the labels in the order of the
    outputs or an object from label to index (else they are wav2vec2-960h's), and `streamer.json`,
    an object with `name` and `jit_compile`. XLA compiles some networks badly (depthwise
    convolutions on a CPU), so it is not used unless that file or the caller says so.
    """

    def __init__(self, folder: Path) -> None:
        """Load it.

        Raises:
            ModelError: It cannot be read, or it has another signature.
        """
        settings = _read_json(folder / "streamer.json") or {}
        if not isinstance(settings, dict) or not set(settings) <= {"name", "jit_compile"}:
            raise ModelError(
                f"Expected an object with `name` and `jit_compile` in {folder / 'streamer.json'}, "
                f"found {settings}."
            )
        self.name = str(settings.get("name", folder.resolve().name))
        self.jit_compile = bool(settings.get("jit_compile", False))
        self.labels = _read_labels(folder / "labels.json")
        try:
            self._loaded = tf.saved_model.load(str(folder))
        except Exception as error:  # TensorFlow raises whatever its parser met.
            raise ModelError(f"The SavedModel in {folder} cannot be read: {error}") from error
        self._call = self._loaded.signatures.get("serving_default")
        self._check_signature(folder)
        self.hop = self._measure_hop(folder)
        self.receptive_field = self.hop  # A SavedModel does not tell what a frame sees.

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `streamer.models.compiled.AcousticModel` says."""
        outputs = self._call(waveforms=waveforms, valid=valid)
        return outputs["log_probs"], outputs["frames"]

    def _check_signature(self, folder: Path) -> None:
        inputs: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        if self._call is not None:
            inputs = self._call.structured_input_signature[1]
            outputs = self._call.structured_outputs
        expected = ({"waveforms", "valid"}, {"log_probs", "frames"})
        if (set(inputs), set(outputs)) != expected:
            found = f"{', '.join(inputs) or 'nothing'} in, {', '.join(outputs) or 'nothing'} out"
            raise ModelError(f"Expected {SIGNATURE} in {folder}, found {found}.")
        n_outputs = outputs["log_probs"].shape[-1]
        if n_outputs is not None and n_outputs != len(self.labels.symbols):
            raise ModelError(
                f"The SavedModel in {folder} has {n_outputs} outputs but "
                f"{len(self.labels.symbols)} labels; put the right ones into labels.json beside it."
            )

    def _measure_hop(self, folder: Path) -> int:
        """Samples from one frame to the next, from how many frames more sound gives."""
        short, long = 16_000, 240_000  # so far apart that a frame more or less does not count
        try:
            _, n_frames = self(tf.zeros([2, long]), tf.constant([short, long], tf.int32))
        except tf.errors.OpError as error:
            raise ModelError(
                f"The SavedModel in {folder} cannot be run: {error.message}. Expected {SIGNATURE}."
            ) from error
        more = int(n_frames[1] - n_frames[0])
        if more <= 0:
            raise ModelError(
                f"The SavedModel in {folder} gives {n_frames.numpy().tolist()} frames for 1 and "
                "15 seconds; expected more for 15."
            )
        return round((long - short) / more)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error


def _read_labels(path: Path) -> Labels:
    symbols = _read_json(path)
    if symbols is None:
        return WAV2VEC2_LABELS
    if isinstance(symbols, dict) and sorted(symbols.values()) == list(range(len(symbols))):
        symbols = sorted(symbols, key=lambda symbol: symbols[symbol])
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise ModelError(f"Expected a list of labels or an object from label to index in {path}.")
    return Labels.from_symbols(symbols)
