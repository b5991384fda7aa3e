"""Any SavedModel of the documented signature can be the model."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from streamer import models
from streamer.errors import ModelError

HOP = 400
LABELS = ["<pad>", "|", "a", "b"]


class Loudness(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Writes `a` for each frame of 25 ms that is louder than 0.1, else nothing."""

    def __init__(self, n_labels: int = len(LABELS)) -> None:
        super().__init__()
        self._n_labels = n_labels

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="waveforms"),
            tf.TensorSpec([None], tf.int32, name="valid"),
        ]
    )
    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> dict[str, tf.Tensor]:
        n_frames = tf.shape(waveforms)[1] // HOP
        frames = tf.reshape(waveforms[:, : n_frames * HOP], [tf.shape(waveforms)[0], n_frames, HOP])
        is_loud = tf.cast(tf.reduce_max(tf.abs(frames), axis=-1) > 0.1, tf.int32)
        log_probs = tf.math.log(tf.one_hot(2 * is_loud, self._n_labels) * 0.9 + 0.01)
        return {"log_probs": log_probs, "frames": valid // HOP}


def export(folder: Path, network: tf.Module, **signatures: object) -> Path:
    tf.saved_model.save(network, str(folder), signatures=signatures or network.__call__)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = export(tmp_path_factory.mktemp("models") / "loudness", Loudness())
    (path / "labels.json").write_text(json.dumps(LABELS))
    return path


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_it_is_run_at_any_length_compiled_or_not(folder: Path, jit_compile: bool | None) -> None:
    model = models.load(folder, jit_compile=jit_compile)
    assert model.name == "loudness"
    assert model.labels.symbols == tuple(LABELS)
    assert model.grid.hop == HOP
    samples = np.zeros(10 * HOP + 7, np.float32)
    samples[3 * HOP] = 0.5
    assert model.log_probs(samples).argmax(axis=1).tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]


def test_its_settings_stand_beside_it(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    export(other, Loudness())
    (other / "labels.json").write_text(json.dumps({"a": 2, "<pad>": 0, "|": 1, "b": 3}))
    (other / "streamer.json").write_text('{"name": "mine", "jit_compile": true}')
    model = models.load(other)
    assert model.name == "mine"
    assert model.labels.symbols == ("<pad>", "|", "a", "b")


def test_a_precision_that_it_does_not_have_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"for bfloat16, found .*, which computes in float32\."):
        models.load(folder, precision="bfloat16")


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    network = export(tmp_path / "network", Loudness())
    with pytest.raises(ModelError, match=r"4 outputs but 32 labels.*labels\.json"):
        models.load(network)
    (network / "labels.json").write_text('["a", "b", "c", "d"]')
    with pytest.raises(ModelError, match="need a blank named '<pad>'"):
        models.load(network)
    (network / "labels.json").write_text('{"<pad>": 0, "|": 1, "a": "2", "b": 3}')
    with pytest.raises(ModelError, match="Expected a list of labels or an object"):
        models.load(network)
    (network / "labels.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        models.load(network)


def spec(name: str, *shape: int | None, dtype: object = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


MASKED = (spec("waveforms", None, None), spec("valid", None, dtype=tf.int32))


def heard(log_probs: tf.Tensor, frames: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"log_probs": log_probs, "frames": frames}


@pytest.mark.parametrize(
    ("listen", "inputs", "found"),
    [
        (lambda x: {"y": 2 * x}, [spec("x", None)], "x float32 (None,) in, y float32"),
        (lambda waveforms, valid: heard(waveforms, valid), MASKED, "log_probs float32 (None, N"),
        (
            lambda waveforms, valid: heard(waveforms[..., tf.newaxis], valid / 2),
            MASKED,
            "frames float64 (None,)",
        ),
        (
            lambda waveforms, valid: heard(waveforms[:, tf.newaxis, tf.newaxis], valid),
            [spec("waveforms", None), MASKED[1]],
            "waveforms float32 (None,)",
        ),
        (lambda x: {"y": x[..., tf.newaxis]}, [spec("x", 2, None)], "x float32 (2, None) in"),
    ],
    ids=["of no network", "log-probs", "frames", "one waveform", "two waveforms"],
)
def test_another_signature_is_refused_with_what_was_expected(
    tmp_path: Path, listen: Callable[..., object], inputs: Sequence[tf.TensorSpec], found: str
) -> None:
    network = tf.Module()
    network.listen = tf.function(listen, input_signature=inputs, autograph=False)
    export(tmp_path / "network", network, serving_default=network.listen)
    with pytest.raises(ModelError, match=rf"Expected a signature.*found .*{re.escape(found)}"):
        models.load(tmp_path / "network")


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match=r"^(The SavedModel in|Expected a signature)"):
        models.load(tmp_path)


@pytest.mark.parametrize("name", ["no-such-model", "tests"])
def test_a_model_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"Expected a name .*, or a folder with config\.json"):
        models.load(name)


# Without a valid length


class Unmasked(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Writes `a` for each frame that is louder than the whole input is on average: padding counts.

    Its frames overlap: one for `HOP` samples, each sees half as many more.
    """

    def __init__(self, n_samples: int | None, n_labels: int = len(LABELS)) -> None:
        super().__init__()
        spec = tf.TensorSpec([None, n_samples], tf.float32, name="speech")
        self._n_labels = n_labels
        self.listen = tf.function(self._listen, input_signature=[spec])

    def _listen(self, speech: tf.Tensor) -> tf.Tensor:
        seen = tf.signal.frame(tf.abs(speech), HOP + HOP // 2, HOP)
        mean = tf.reduce_mean(tf.abs(speech), axis=1)[:, tf.newaxis]
        is_loud = tf.cast(tf.reduce_mean(seen, axis=-1) > mean, tf.int32)
        return {"logits": 9.0 * tf.one_hot(2 * is_loud, self._n_labels)}


def export_unmasked(folder: Path, n_samples: int | None, **settings: object) -> Path:
    network = Unmasked(n_samples)
    export(folder, network, anything=network.listen)
    (folder / "labels.json").write_text(json.dumps(LABELS))
    (folder / "streamer.json").write_text(json.dumps(settings))
    return folder


def half_loud(n_samples: int) -> np.ndarray:
    samples = np.full(n_samples, 0.01, np.float32)
    samples[: n_samples // 2] = 0.1
    return samples


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_fixed_length_is_the_one_bucket_and_only_valid_frames_come_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, jit_compile: bool
) -> None:
    folder = export_unmasked(tmp_path / "fixed", 20_000)
    model = models.load(folder, jit_compile=jit_compile)
    assert model.buckets == (20_000,)
    assert model.name == "fixed"
    assert caplog.messages == [
        "fixed always computes 1.25 s of sound, however short it is; what is shorter is padded, "
        "and the padding is heard as silence, which costs accuracy."
    ]
    whole = model.log_probs(half_loud(20_000))
    np.testing.assert_allclose(np.exp(whole).sum(axis=1), 1.0, rtol=1e-5)
    assert whole.argmax(axis=1).tolist() == [2] * 25 + [0] * (len(whole) - 25)
    # One length does not tell how far frames are apart, but for less than a frame at its end.
    assert abs(model.grid.start_of(48) - (48 * HOP + HOP // 4)) < HOP
    assert len(model.log_probs(half_loud(10_000))) == 24
    assert len(model.log_probs(np.zeros(100, np.float32))) == 0


def test_a_fixed_length_without_a_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gives 0 frames for its 500 samples"):
        models.load(export_unmasked(tmp_path / "short", 500))


def test_any_length_is_run_with_little_padding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = models.load(export_unmasked(tmp_path / "any", None))
    assert model.buckets[:3] == (8_000, 16_000, 24_000)
    assert model.longest == 246_000
    assert model.grid.hop == HOP
    assert caplog.messages[0].startswith("any takes no valid length; what is shorter is padded")
    assert len(model.log_probs(half_loud(10_000))) == 24


def test_its_input_is_normalised_when_it_says_so(tmp_path: Path) -> None:
    class Copies(tf.Module):  # type: ignore[misc]
        """Gives back its input, as frames of one sample and the logit of `a`."""

        @tf.function(input_signature=[tf.TensorSpec([None, 16_000], tf.float32, name="x")])
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.pad(x[..., tf.newaxis], [[0, 0], [0, 0], [2, 1]])}

    folder = export(tmp_path / "copies", Copies())
    (folder / "labels.json").write_text(json.dumps(LABELS))
    sound = 0.2 + 0.1 * np.random.default_rng(0).standard_normal(9_000).astype(np.float32)
    for normalise, expected in ((False, sound), (True, (sound - sound.mean()) / sound.std())):
        (folder / "streamer.json").write_text(json.dumps({"normalise": normalise}))
        log_probs = models.load(folder).log_probs(sound)
        np.testing.assert_allclose(log_probs[:, 2] - log_probs[:, 0], expected, atol=1e-2)


def test_labels_have_to_fit_it_as_well(tmp_path: Path) -> None:
    folder = export_unmasked(tmp_path / "fixed", 20_000)
    (folder / "labels.json").unlink()
    with pytest.raises(ModelError, match=r"4 outputs but 32 labels.*labels\.json"):
        models.load(folder)
