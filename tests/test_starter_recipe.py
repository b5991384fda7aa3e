"""The recipe in `scripts/starter` does every step, and what it makes is what the package reads."""

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import speech
import tensorflow as tf

from streamer.models.labels import WAV2VEC2_LABELS
from streamer.models.starter import Starter

SCRIPTS = Path(__file__).parents[1] / "scripts" / "starter"
REFERENCE = np.load(Path(__file__).parent / "data" / "starter_reference.npz")
WEIGHTS = Path(__file__).parents[1] / "streamer" / "models" / "starter_weights" / "weights.npz"

Load = Callable[[str], ModuleType]
Run = Callable[..., None]


@pytest.fixture(scope="module")
def load() -> Load:
    """Import a module of the recipe by its name."""
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def run(load: Load, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of the recipe."""

    def call(name: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        load(name).main()

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentences of the bundled sample as a corpus of two speakers."""
    folder = tmp_path_factory.mktemp("corpus")
    readme = (speech.FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| (.+) \|$", readme, re.MULTILINE)
    lines = ["path\tsubset\tspeaker\ttranscript"]
    for i, (speaker, start_s, end_s, text) in enumerate(rows):
        samples = speech.excerpt(float(start_s) - 0.2, float(end_s) + 0.2)
        soundfile.write(folder / f"{i}.flac", samples, 16_000)
        lines.append(f"{i}.flac\tsample\t{speaker}\t{text}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.timeout(300)  # Some 15 s of computing; tracing is slow on a busy machine.
def test_every_step_is_done_and_the_package_reads_the_result(
    run: Run, load: Load, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared, training, package = tmp_path / "prepared", tmp_path / "run", tmp_path / "package"
    run("prepare", prepared, folder, "--development", 0.6)
    out = capsys.readouterr().out
    assert re.search(r"train: \d utterances, 1 speakers", out)
    assert re.search(r"development: \d utterances, 1 speakers", out)

    plain = ("--no-jit", "--no-augment", "--lengths", 1, "--batch", 4, "--log-every", 1)
    run("train", prepared, training, "--minutes", 5, "--steps", 2, *plain)
    run("train", prepared, training, "--minutes", 5, "--steps", 4, *plain)  # Goes on.
    log = [json.loads(line) for line in (training / "log.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["ctc"] for line in log if "ctc" in line}
    assert sorted(losses) == [1, 2, 3, 4]
    assert min(losses[3], losses[4]) < losses[1]
    assert [line["step"] for line in log if "wer" in line] == [0, 2, 4]

    run("evaluate", training / "weights.npz", folder, "--save", tmp_path / "figures.md")
    assert re.search(r"\| sample \| 7 \| \d+ \| \d+\.\d % \|", capsys.readouterr().out)

    package.mkdir()
    card = package / "README.md"
    card.write_text("Before.\n<!-- figures -->\nold\n<!-- /figures -->\nAfter.\n")
    reference = tmp_path / "reference.npz"
    run(
        "export",
        training / "weights.npz",
        *("--package", package, "--reference", reference, "--figures", tmp_path / "figures.md"),
    )
    assert "old" not in card.read_text()
    assert card.read_text().endswith("<!-- /figures -->\nAfter.\n")
    with np.load(package / "weights.npz") as found, np.load(WEIGHTS) as shipped:
        assert set(found) == set(shipped)
        assert all(found[n].dtype == np.uint8 for n in found if f"{n}:scale" in found)
        changed = {n for n in found if not np.array_equal(found[n], shipped[n])}
        with np.load(WEIGHTS.with_name("writing.npz")) as writing:
            packaged = Starter({**writing, **found})
    # After so few steps most weights are rounded to what they were; their largest says the scale.
    assert {"layer3/query", "layer3/query:scale"} & changed
    assert not {"conv1", "layer0/query", "layer0/query:scale"} & changed
    with np.load(reference) as expected:
        wave = expected["wave_yes"]
        log_probs, _ = packaged(wave[None], np.array([len(wave)], np.int32))
        assert np.abs(log_probs.numpy()[0] - expected["log_probs_yes"]).max() < 1e-3


@pytest.mark.parametrize("name", ["fox", "window", "yes"])
def test_the_trained_network_is_that_of_the_package(load: Load, name: str) -> None:
    network = load("network").Network(load("packing").unpack(np.load(WEIGHTS)))
    wave = REFERENCE[f"wave_{name}"]
    padded = np.pad(wave, (0, 1_000), constant_values=np.nan)
    found = network({"waveforms": padded[None], "valid": np.array([len(wave)], np.int32)})
    expected = REFERENCE[f"log_probs_{name}"]
    log_probs = found["log_probs"].numpy()[0, : found["n_frames"].numpy()[0]]
    assert log_probs.shape == expected.shape
    assert np.abs(log_probs - expected).max() < 1e-3


def test_labels_are_those_of_the_package(load: Load) -> None:
    assert tuple(load("labels").SYMBOLS) == WAV2VEC2_LABELS.symbols


def test_librispeech_layout_is_read(load: Load, tmp_path: Path) -> None:
    chapter = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121123"
    chapter.mkdir(parents=True)
    soundfile.write(chapter / "84-121123-0000.flac", np.zeros(16_000), 16_000)
    (chapter / "84-121123.trans.txt").write_text("84-121123-0000 GO! DO YOU HEAR-ME\n")
    (found,) = load("corpus").read_folder(tmp_path)
    assert found.transcript == "GO DO YOU HEAR ME"
    assert (found.subset, found.speaker, found.duration_s) == ("dev-clean", "dev-clean-84", 1.0)


def test_an_empty_folder_is_named(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no speech: expected a manifest"):
        load("corpus").read_folder(tmp_path)


def test_the_teacher_at_our_frames_says_the_same(load: Load) -> None:
    batches, labels = load("batches"), load("labels")
    text = "A HELLO TO ALL OF YOU"
    said = [labels.LABEL_OF[c] for c in text]
    teacher = np.zeros((3 * len(said) + 40, 32), np.uint8)
    teacher[:, 0] = 255
    for i, label in enumerate(said):  # Every third frame a letter, the last two of them blank.
        teacher[10 + 3 * i] = 0
        teacher[10 + 3 * i, label] = 255
    n_frames = len(teacher) * 320 // 384
    for speed in (0.9, 1.0, 1.1):
        found = batches.resample_posteriors(teacher, round(n_frames / speed), speed)
        assert labels.greedy_text(found.argmax(-1)) == text


def test_what_can_be_read_as_it_is_written_is_said_in_a_folder_to_prepare(
    run: Run, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Voice:
        """Says every sentence as a second of sound, louder the more words it has."""

        sample_rate = 24_000

        def __call__(self, text: str, *, speed: float, seed: int) -> np.ndarray:
            return np.full(self.sample_rate, len(text.split()) / 100, np.float32)

    synthesiser = ModuleType("hibari")
    synthesiser.Hibari = Voice  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hibari", synthesiser)
    text = tmp_path / "text"
    text.write_text(
        "It's late, isn't it? It cost 20 dollars there. Ask J Smith about it.\n"
        "The old man\nwent home. Go now! The USA is far away. The old man went home."
    )
    folder = tmp_path / "said"
    run("say", folder, text, tmp_path / "no such file", "--hours", 1)
    found = {each.transcript: each for each in load("corpus").read_folder(folder)}
    assert set(found) == {"IT'S LATE ISN'T IT", "THE OLD MAN WENT HOME"}
    assert {each.subset for each in found.values()} == {"synthetic"}
    for transcript, each in found.items():
        samples, rate = soundfile.read(each.path)
        assert rate == 16_000
        assert 0.8 <= len(samples) / rate <= 1 / 0.8  # Higher and lower voices.
        assert np.median(samples) == pytest.approx(len(transcript.split()) / 100, abs=1e-3)
    run("say", folder, text, "--hours", 0.5 / 3600)  # No more than was asked for.
    assert len(load("corpus").read_folder(folder)) == 1


def test_noise_has_nothing_to_write(load: Load) -> None:
    batches, shards = load("batches"), load("shards")
    example = shards.Example(np.ones(32_000, np.int16), "WORDS", "somebody", "some")
    plan = batches.Plan(lengths=[40_320], batch_s=4.0, weights={}, noise=1.0)
    x, y = next(batches.epochs([example], plan, seed=0))  # Two epochs make a batch.
    assert x["waveforms"].shape == (2, 40_320)
    assert not y["n_labels"].any()
    assert np.isfinite(x["waveforms"]).all()


def test_noise_also_sets_in_and_is_cut_off(load: Load) -> None:
    batches, shards = load("batches"), load("shards")
    example = shards.Example(np.ones(32_000, np.int16), "WORDS", "somebody", "some")
    lengths = sorted([*batches.SHORT_LENGTHS, 40_320])
    plan = batches.Plan(lengths=lengths, batch_s=2.0, weights={}, noise=1.0)
    found = batches.epochs([example], plan, seed=0)
    assert {next(found)[0]["waveforms"].shape[1] for _ in range(20)} == set(lengths)


def test_what_is_cut_short_has_the_beginning_of_the_text(load: Load) -> None:
    batches, labels, shards = load("batches"), load("labels"), load("shards")
    text = "A HELLO TO ALL OF YOU"
    times = np.linspace(3_200, 28_800, len(text)).astype(np.int32)
    samples = np.ones(32_000, np.int16)
    example = shards.Example(samples, text, "somebody", "some", times=times)
    plan = batches.Plan(lengths=[40_320], batch_s=40.0, weights={}, noise=0.0, cut=1.0)
    x, y = next(batches.epochs([example], plan, seed=0))
    texts = [
        "".join(labels.SYMBOLS[label] for label in row[:n]).replace("|", " ")
        for row, n in zip(y["labels"], y["n_labels"], strict=True)
    ]
    assert len(set(texts)) > 5
    for valid, found in zip(x["valid"], texts, strict=True):
        assert text.startswith(found)
        # At speeds from 0.9 to 1.1.
        assert len(found) == pytest.approx(np.interp(valid, times, range(1, 22)), abs=4)


def test_ctc_is_that_of_tensorflow_with_its_gradient(load: Load) -> None:
    rng = np.random.default_rng(0)
    log_probs = tf.nn.log_softmax(rng.standard_normal((4, 30, 32)).astype(np.float32))
    labels = rng.integers(1, 32, (4, 8)).astype(np.int32)
    labels[:, 3] = labels[:, 2]  # Equal letters need a blank between them.
    n_labels = np.array([0, 1, 5, 8], np.int32)
    n_frames = np.array([30, 7, 22, 30], np.int32)
    found = []
    for loss in (
        lambda x: load("ctc").ctc_loss(labels, x, n_labels, n_frames),
        lambda x: tf.nn.ctc_loss(
            labels, x, n_labels, n_frames, logits_time_major=False, blank_index=0
        ),
    ):
        with tf.GradientTape() as tape:
            tape.watch(log_probs)
            losses = loss(tf.nn.log_softmax(log_probs))
        found.append((losses.numpy(), tape.gradient(losses, log_probs).numpy()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-4)
