"""Checkpoints are read wherever they come from, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from published import Published, export, random_weights

from streamer import models
from streamer.errors import ModelError
from streamer.models import checkpoints
from streamer.models.labels import WAV2VEC2_LABELS
from streamer.models.wav2vec2 import Wav2Vec2
from streamer.models.wav2vec2_config import Wav2Vec2Config

TINY = Wav2Vec2Config(
    conv_dims=(24,) * 7,
    hidden_size=48,
    n_layers=2,
    n_heads=4,
    intermediate_size=80,
    position_kernel=16,
    position_groups=4,
)
N_SAMPLES = 8_000
SYMBOLS = WAV2VEC2_LABELS.symbols


def noise(n_samples: int = N_SAMPLES) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((1, n_samples), np.float32)


def log_probs(model, waveforms: np.ndarray) -> np.ndarray:
    valid = tf.constant([waveforms.shape[1]] * len(waveforms), tf.int32)
    return model(tf.constant(waveforms), valid)[0].numpy()


# Folders from Hugging Face


@pytest.fixture(scope="module")
def theirs():
    reference = pytest.importorskip("reference")
    return reference.reference("wav2vec2-base")


@pytest.fixture
def folder(theirs, tmp_path: Path) -> Path:
    """A complete checkpoint as `transformers` writes it."""
    folder = tmp_path / "tiny"
    theirs.save_pretrained(folder)
    vocabulary = {symbol: number for number, symbol in enumerate(SYMBOLS)}
    write(folder / "vocab.json", vocabulary)
    write(folder / "preprocessor_config.json", {"do_normalize": True, "sampling_rate": 16_000})
    return folder


def write(path: Path, contents: object) -> None:
    path.write_text(json.dumps(contents), "utf-8")


def change(path: Path, **changes: object) -> None:
    write(path, json.loads(path.read_text("utf-8")) | changes)


def expected(theirs, waveform: np.ndarray) -> np.ndarray:
    reference = pytest.importorskip("reference")
    return reference.log_probs_of(theirs, waveform)


def save_weights(folder: Path, weights: dict) -> None:
    from safetensors.torch import save_file

    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("kind", ["wav2vec2-base", "wav2vec2-large", "hubert-base", "hubert-large"])
def test_every_kind_is_read_and_gives_the_numbers_of_its_author(kind, tmp_path):
    reference = pytest.importorskip("reference")
    theirs = reference.reference(kind)
    theirs.save_pretrained(tmp_path)
    write(tmp_path / "vocab.json", {symbol: number for number, symbol in enumerate(SYMBOLS)})
    model = checkpoints.read_hugging_face(tmp_path)
    error = reference.relative_error(
        log_probs(model, noise())[0], reference.log_probs_of(theirs, noise()[0])
    )
    assert error < 1e-5
    assert model.labels == WAV2VEC2_LABELS
    assert model.name == tmp_path.name


@pytest.mark.parametrize("older_names", [False, True])
def test_pytorch_model_bin_is_read(theirs, folder, older_names):
    torch = pytest.importorskip("torch")
    weights = theirs.state_dict()
    if older_names:  # As PyTorch 1 wrote them, and every checkpoint of Meta's has them.
        for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
            name = f"wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.{new}"
            moved = name.replace(f"parametrizations.weight.{new}", old)
            weights = {moved if key == name else key: value for key, value in weights.items()}
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    found = log_probs(checkpoints.read_hugging_face(folder), noise())[0]
    np.testing.assert_allclose(found, expected(theirs, noise()[0]), atol=1e-4)


def test_pytorch_model_bin_without_pytorch_is_one_clear_sentence(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from streamer import models, ModelError\n"
        "try: models.load(sys.argv[1])\n"
        "except ModelError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )
    assert "pip install torch" in run.stdout
    assert run.stdout.count("\n") == 1


def test_a_program_inside_pytorch_model_bin_is_not_run(folder):
    torch = pytest.importorskip("torch")
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Path("anything")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be read"):
        checkpoints.read_hugging_face(folder)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_weights_of_half_precision_are_widened(theirs, folder, precision):
    torch = pytest.importorskip("torch")
    weights = {k: v.to(getattr(torch, precision)) for k, v in theirs.state_dict().items()}
    save_weights(folder, weights)
    found = log_probs(checkpoints.read_hugging_face(folder), noise())[0]
    assert found.dtype == np.float32
    assert np.abs(found - expected(theirs, noise()[0])).max() < 1.0


def test_a_missing_a_left_over_and_a_misshapen_weight_are_named_together(theirs, folder):
    torch = pytest.importorskip("torch")
    weights = theirs.state_dict()
    del weights["wav2vec2.encoder.layers.1.attention.k_proj.bias"]
    weights["wav2vec2.surplus"] = torch.zeros(3)
    weights["lm_head.weight"] = torch.zeros(32, 47)
    save_weights(folder, weights)
    with pytest.raises(ModelError) as caught:
        checkpoints.read_hugging_face(folder)
    message = str(caught.value)
    assert "missing: wav2vec2.encoder.layers.1.attention.k_proj.bias [48]" in message
    assert "left over: wav2vec2.surplus [3]" in message
    assert "of the wrong shape: lm_head.weight [32, 47] instead of [32, 48]" in message


def test_a_checkpoint_that_was_never_taught_letters_is_called_that(theirs, folder):
    weights = {k: v for k, v in theirs.state_dict().items() if not k.startswith("lm_head")}
    save_weights(folder, weights)
    with pytest.raises(ModelError, match="never taught letters"):
        checkpoints.read_hugging_face(folder)


@pytest.mark.parametrize("missing", ["vocab.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        models.load(folder)


@pytest.mark.parametrize(
    "damaged", ["config.json", "vocab.json", "preprocessor_config.json", "model.safetensors"]
)
@pytest.mark.parametrize("contents", [b"", b"[1]", b"\xff\x00"])
def test_a_damaged_file_is_named(folder, damaged, contents):
    (folder / damaged).write_bytes(contents)
    with pytest.raises(ModelError, match=damaged):
        models.load(folder)


@pytest.mark.parametrize("boundary", ["_", {"__type": "AddedToken", "content": "_"}])
def test_labels_come_from_the_checkpoint(folder, boundary):
    vocabulary = {symbol: number for number, symbol in enumerate("äßбф字 '", 3)}
    vocabulary |= {"_": 1, "[blank]": 0}
    write(folder / "vocab.json", vocabulary)
    write(folder / "added_tokens.json", {"<s>": 30, "</s>": 31})
    write(folder / "tokenizer_config.json", {"word_delimiter_token": boundary})
    labels = checkpoints.read_hugging_face(folder).labels
    assert labels.symbols[3:9] == ("ä", "ß", "б", "ф", "字", " ")
    assert (labels.blank, labels.word_boundary) == (0, 1)
    # Outputs without a letter are never written.
    assert labels.silent == {0, 2, *range(10, 32)}


def test_the_blank_is_the_padding_wherever_it_is(folder):
    change(folder / "config.json", pad_token_id=31)
    labels = checkpoints.read_hugging_face(folder).labels
    assert labels.blank == 31
    assert 31 in labels.silent


@pytest.mark.parametrize("vocabulary", [{"a": 32, "|": 1}, {"a": "b"}, {"eng": {"a": 0}}])
def test_a_vocabulary_that_does_not_fit_the_outputs_is_refused(folder, vocabulary):
    write(folder / "vocab.json", vocabulary)
    with pytest.raises(ModelError, match=r"0 to 31 in .*vocab\.json"):
        checkpoints.read_hugging_face(folder)


def test_normalisation_comes_from_the_checkpoint(folder):
    change(folder / "preprocessor_config.json", do_normalize=False)
    assert not checkpoints.read_hugging_face(folder).config.normalise


# The published SavedModel


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return random_weights(TINY)


@pytest.fixture(scope="module")
def published(weights, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    export(folder, TINY, weights, N_SAMPLES)
    return folder


def test_the_published_form_gives_the_same_log_probs_in_our_graph(published):
    ours = checkpoints.read_saved_model(published, TINY)
    signature = tf.saved_model.load(str(published)).signatures["wav2vec2"]
    wave = noise()
    normalised = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    (logits,) = signature(tf.constant(normalised)).values()
    published_log_probs = tf.nn.log_softmax(logits).numpy()
    np.testing.assert_allclose(log_probs(ours, wave), published_log_probs, rtol=1e-4, atol=1e-4)
    assert (ours.name, ours.labels) == ("wav2vec2-960h", WAV2VEC2_LABELS)


@pytest.mark.parametrize("inside", [".", "wav2vec2-960h"])
def test_an_archive_of_it_is_read(published, weights, tmp_path, monkeypatch, inside):
    monkeypatch.setattr(checkpoints, "PUBLISHED_CONFIG", TINY)
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(published, inside)
    found = models.load(archive).log_probs(noise()[0])
    ours = Wav2Vec2(TINY, WAV2VEC2_LABELS, weights)
    np.testing.assert_allclose(found, log_probs(ours, noise())[0], atol=1e-4)


@pytest.mark.parametrize("name", ["{}@published", "hub:{}@published"])
def test_the_published_graph_runs_as_its_users_run_it(published, caplog, name):
    """They normalise the sound, pad it with zeros, and give it to the graph."""
    model = models.load(name.format(published))
    assert (model.name, model.buckets) == ("wav2vec2-960h@published", (N_SAMPLES,))
    wave = 0.3 + noise(6_000)
    padded = np.zeros((1, N_SAMPLES), np.float32)
    padded[:, :6_000] = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-5)
    signature = tf.saved_model.load(str(published)).signatures["wav2vec2"]
    (logits,) = signature(tf.constant(padded)).values()
    n_frames = (6_000 - 400) // 320 + 1
    expected = tf.nn.log_softmax(logits).numpy()[0, :n_frames]
    np.testing.assert_allclose(model.log_probs(wave[0]), expected, rtol=1e-4, atol=1e-4)
    assert "always computes 0.5 s of sound" in caplog.text


def test_the_published_graph_of_another_model_cannot_be_run(folder):
    with pytest.raises(ModelError, match="Expected the published wav2vec2-960h before @published"):
        models.load(f"{folder}@published")


def test_variables_that_do_not_fit_are_named_as_they_are_stored(published):
    larger = dataclasses.replace(TINY, n_layers=3, n_labels=33)
    with pytest.raises(ModelError) as caught:
        checkpoints.read_saved_model(published, larger)
    message = str(caught.value)
    first = "wav2vec2-ctc/wav2vec2/encoder/layers/2/attention/q_proj/kernel [48, 48]"
    assert f"missing: {first}" in message
    assert "and 11 more" in message
    assert "wav2vec2-ctc/lm_head/kernel [48, 32] instead of [48, 33]" in message
    smaller = dataclasses.replace(TINY, n_layers=1)
    with pytest.raises(ModelError, match="left over: wav2vec2-ctc/wav2vec2/encoder/layers/1/"):
        checkpoints.read_saved_model(published, smaller)


def test_a_truncated_saved_model_is_one_clear_sentence(published, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(published, folder)
    index = folder / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        checkpoints.read_saved_model(folder, TINY)


def test_only_the_published_form_is_taken_for_it(published, tmp_path):
    assert checkpoints.is_published_form(published)
    assert not checkpoints.is_published_form(tmp_path)
    module = tf.Module()
    module.variable = tf.Variable(1.0, name="anything")
    tf.saved_model.save(module, str(tmp_path / "other"))
    assert not checkpoints.is_published_form(tmp_path / "other")


def test_its_names_are_those_of_the_published_model(weights):
    """Written down in design.md, section 4, from the SavedModel itself."""
    names = {variable.name for variable in Published(TINY, weights).variables}
    base = "wav2vec2-ctc/wav2vec2"
    assert {
        f"{base}/feature_extractor/conv_layers/0/conv/kernel:0",
        f"{base}/feature_extractor/conv_layers/0/layer_norm/gamma:0",
        f"{base}/feature_projection/layer_norm/beta:0",
        f"{base}/feature_projection/projection/bias:0",
        f"{base}/encoder/pos_conv_embed/conv/weight_v:0",
        f"{base}/encoder/pos_conv_embed/conv/weight_g:0",
        f"{base}/encoder/layers/0/attention/out_proj/kernel:0",
        f"{base}/encoder/layers/1/feed_forward/intermediate_dense/kernel:0",
        f"{base}/encoder/layers/1/final_layer_norm/gamma:0",
    } < names


# Finding the right reader


def test_load_recognises_a_folder_from_hugging_face(folder):
    model = models.load(folder)
    assert model.name == "tiny"
    assert model.buckets[0] == 32_000
    assert model.log_probs(noise()[0]).shape == (24, 32)


def test_load_recognises_the_published_form(published):
    # It has the variables, but tiny ones: the message tells which reader was chosen.
    with pytest.raises(ModelError, match="wav2vec2-ctc/wav2vec2/encoder/layers/2"):
        models.load(published)


def test_load_says_what_it_wants(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json .* or saved_model\.pb"):
        models.load(tmp_path)
