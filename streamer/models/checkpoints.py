"""Where the weights of wav2vec 2.0 come from: Hugging Face folders and the published SavedModel.

Both are read into `streamer.models.wav2vec2.Wav2Vec2`, one array after the other: the weights are
never in memory twice. A variable that is missing, left over or of the wrong shape is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from streamer.errors import ModelError
from streamer.models.catalogue import WAV2VEC2_960H
from streamer.models.files import read_json
from streamer.models.labels import WAV2VEC2_LABELS, Labels
from streamer.models.wav2vec2 import Wav2Vec2
from streamer.models.wav2vec2_config import Wav2Vec2Config

Array = npt.NDArray[Any]

PUBLISHED_CONFIG = Wav2Vec2Config()
# What training leaves in a checkpoint and recognition has no use for: the vector that masked
# frames were replaced with.
NOT_NEEDED = ("masked_spec_embed",)


class Arrays(Protocol):
    """The arrays of a file, each read when it is asked for."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every array."""
        ...

    def read(self, name: str) -> Array:
        """One of them."""
        ...


def read_hugging_face(
    folder: Path, precision: str = "float32", *, name: str | None = None
) -> Wav2Vec2:
    """Read the folder of a wav2vec 2.0 or HuBERT CTC checkpoint from Hugging Face.

    Args:
        folder: With `config.json`, `vocab.json`, `preprocessor_config.json` (if it is missing, the
            input is normalised) and either `model.safetensors` or `pytorch_model.bin`.
        precision: As `Wav2Vec2` takes it.
        name: What to call it; None is the folder's name.

    Raises:
        ModelError: A file is missing or cannot be read, the network is of an unsupported kind, or
            the weights do not fit the configuration.
    """
    settings = _read_object(folder / "config.json")
    if settings is None:
        raise ModelError(f"Expected config.json in {folder}, a checkpoint from Hugging Face.")
    config = Wav2Vec2Config.from_json(
        settings, _read_object(folder / "preprocessor_config.json") or {}
    )
    labels = _read_labels(folder, settings, config.n_labels)
    arrays: Arrays
    if (folder / "model.safetensors").is_file():
        arrays = _SafetensorsFile(folder / "model.safetensors")
    elif (folder / "pytorch_model.bin").is_file():
        arrays = _PyTorchFile(folder / "pytorch_model.bin")
    else:
        raise ModelError(f"Expected model.safetensors or pytorch_model.bin in {folder}.")
    prefix = f"{settings['model_type']}."
    expected = {name: hugging_face_name(name, prefix, arrays.shapes()) for name in config.shapes()}
    weights = _Weights(arrays, config, expected, transposed=True, where=folder)
    name = name or folder.resolve().name
    return Wav2Vec2(config, labels, weights, name=name, precision=precision)


def read_saved_model(
    folder: Path, config: Wav2Vec2Config | None = None, precision: str = "float32"
) -> Wav2Vec2:
    """Read the weights of the published SavedModel, whose graph is not used.

    https://tfhub.dev/vasudevgupta7/wav2vec2-960h/1, made by
    https://github.com/thevasudevgupta/gsoc-wav2vec2/blob/main/src/export2hub.py

    Args:
        folder: Its folder.
        config: The shape of the network; a SavedModel does not tell. None is the published one.
        precision: As `Wav2Vec2` takes it.

    Raises:
        ModelError: It cannot be read, or its variables are not those of `config`.
    """
    config = config or PUBLISHED_CONFIG
    weights = _published_weights(folder, config)
    return Wav2Vec2(config, WAV2VEC2_LABELS, weights, name=WAV2VEC2_960H, precision=precision)


def check_published(folder: Path) -> None:
    """Check the names and shapes of the variables of the published SavedModel.

    Raises:
        ModelError: It cannot be read, or has others.
    """
    _published_weights(folder, PUBLISHED_CONFIG)


def _published_weights(folder: Path, config: Wav2Vec2Config) -> _Weights:
    expected = {name: published_name(name) for name in config.shapes()}
    return _Weights(_SavedVariables(folder), config, expected, transposed=False, where=folder)


def is_published_form(folder: Path) -> bool:
    """Whether a folder is a SavedModel with the variables of the published one."""
    if not (folder / "variables" / "variables.index").is_file():
        return False
    try:
        names = _SavedVariables(folder).shapes()
    except ModelError:  # of another kind, which may still be run as it is
        return False
    return any(name.startswith("wav2vec2-ctc/") for name in names)


@dataclass(frozen=True)
class _Weights(Mapping[str, Array]):
    """The arrays of a checkpoint under the names and in the layout of the network.

    Checked as a whole when made, read one by one.
    """

    arrays: Arrays
    config: Wav2Vec2Config
    stored_names: dict[str, str]
    transposed: bool  # PyTorch keeps [output, input, tap]
    where: Path

    def __post_init__(self) -> None:
        """Compare names and shapes with what the configuration asks for.

        Raises:
            ModelError: They differ.
        """
        found = self.arrays.shapes()
        expected = {
            self.stored_names[name]: shape[::-1] if self.transposed else shape
            for name, shape in self.config.shapes().items()
        }
        missing = [f"{name} {list(expected[name])}" for name in expected if name not in found]
        wrong = [
            f"{name} {list(found[name])} instead of {list(shape)}"
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ]
        left_over = [
            f"{name} {list(shape)}"
            for name, shape in found.items()
            if name not in expected and not name.endswith(NOT_NEEDED)
        ]
        faults = [
            f"{what}: {_shortened(names)}"
            for what, names in (
                ("missing", missing),
                ("of the wrong shape", wrong),
                ("left over", left_over),
            )
            if names
        ]
        if faults:
            hint = ""
            if any("lm_head" in name for name in missing):
                hint = " Without lm_head it was never taught letters: take a checkpoint with CTC."
            raise ModelError(
                f"The weights in {self.where} are not those of the network that its configuration "
                f"describes; {'; '.join(faults)}.{hint}"
            )

    def __getitem__(self, name: str) -> Array:
        array = self.arrays.read(self.stored_names[name])
        return array.T if self.transposed else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored_names)

    def __len__(self) -> int:
        return len(self.stored_names)


def _shortened(names: list[str], n_shown: int = 5) -> str:
    rest = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + rest


class _SafetensorsFile:
    """`model.safetensors`."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            # Mapped into memory, not read.
            self._file: Any = safe_open(path, framework="numpy")
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path} cannot be read: {error}. Download it again.") from error

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """As `Arrays` says."""
        names: list[str] = list(self._file.keys())
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in names}

    def read(self, name: str) -> Array:
        """As `Arrays` says."""
        array: Array = self._file.get_tensor(name)
        return array


class _PyTorchFile:
    """`pytorch_model.bin`, which only PyTorch can read."""

    def __init__(self, path: Path) -> None:
        try:
            import torch
        except ImportError as error:
            raise ModelError(
                f"{path} can only be read with PyTorch: `pip install torch`, or put the "
                "checkpoint's model.safetensors beside it."
            ) from error
        try:
            # Without `weights_only` such a file may run any program.
            self._tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # PyTorch raises whatever its unpickler met.
            raise ModelError(f"{path} cannot be read: {error}") from error

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """As `Arrays` says."""
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Array:
        """As `Arrays` says."""
        array: Array = self._tensors[name].float().numpy()
        return array


class _SavedVariables:
    """The variables of a SavedModel, by the names they had in the program that saved it.

    Read from the checkpoint inside, without the graph: that takes no second and no memory.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
            shapes = self._reader.get_variable_to_shape_map()
            graph = trackable_object_graph_pb2.TrackableObjectGraph()
            graph.ParseFromString(self._reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        except Exception as error:  # TensorFlow raises whatever its parser met.
            raise ModelError(f"The SavedModel in {folder} cannot be read: {error}") from error
        self._keys = {
            attribute.full_name: attribute.checkpoint_key
            for node in graph.nodes
            for attribute in node.attributes
            if attribute.full_name
        }
        self._shapes = {name: tuple(shapes[key]) for name, key in self._keys.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """As `Arrays` says."""
        return self._shapes

    def read(self, name: str) -> Array:
        """As `Arrays` says."""
        array: Array = self._reader.get_tensor(self._keys[name])
        return array


def published_name(name: str) -> str:
    """The name in the published SavedModel for one of our weights."""
    return (
        f"wav2vec2-ctc/{name}" if name.startswith("lm_head/") else f"wav2vec2-ctc/wav2vec2/{name}"
    )


def hugging_face_name(name: str, prefix: str, stored: Mapping[str, Any]) -> str:
    """The name in a checkpoint of `transformers` for one of ours."""
    path, _, kind = name.rpartition("/")
    path = path.replace("/", ".")
    if not path.startswith("lm_head"):
        path = prefix + path
    renamed = {"kernel": "weight", "gamma": "weight", "beta": "bias"}.get(kind, kind)
    # PyTorch 2 computes the weight norm elsewhere and calls its parts by other names.
    parametrized = {"weight_g": "original0", "weight_v": "original1"}.get(kind)
    newer = f"{path}.parametrizations.weight.{parametrized}"
    return newer if parametrized and newer in stored else f"{path}.{renamed}"


def _read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no file."""
    contents = read_json(path)
    if contents is None and not path.exists():
        return None
    if not isinstance(contents, dict):
        raise ModelError(f"Expected a JSON object in {path}, found a {type(contents).__name__}.")
    return contents


def _read_labels(folder: Path, config: Mapping[str, Any], n_labels: int) -> Labels:
    """The labels that `vocab.json` and, if there is one, `added_tokens.json` number."""
    vocabulary = _read_object(folder / "vocab.json")
    if vocabulary is None:
        raise ModelError(f"Expected vocab.json in {folder}: it says which letters there are.")
    vocabulary |= _read_object(folder / "added_tokens.json") or {}
    numbers = list(vocabulary.values())
    if not all(isinstance(number, int) and 0 <= number < n_labels for number in numbers):
        raise ModelError(
            f"Expected a label for each of the numbers 0 to {n_labels - 1} in "
            f"{folder / 'vocab.json'} (`vocab_size` in config.json), found "
            f"{', '.join(map(str, numbers[:40]))}."
        )
    tokenizer = _read_object(folder / "tokenizer_config.json") or {}
    names = {number: symbol for symbol, number in vocabulary.items()}
    # The head may have more outputs than there are letters; they were trained to stay silent.
    symbols = [names.get(number, f"<{number}>") for number in range(n_labels)]
    blank = config.get("pad_token_id", 0)  # transformers' CTC loss takes the padding as the blank.
    if blank not in range(n_labels):
        raise ModelError(f"Expected a label as `pad_token_id` in config.json, found {blank!r}.")
    delimiter = tokenizer.get("word_delimiter_token", "|")
    if isinstance(delimiter, dict):  # an `AddedToken` of `transformers`
        delimiter = delimiter.get("content")
    return Labels.from_symbols(symbols, blank=blank, word_boundary=vocabulary.get(str(delimiter)))
