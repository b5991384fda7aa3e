from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from streamer import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Partial,
    SpeechStarted,
    Statistics,
    Word,
)
from streamer.settings import TextStyle
from streamer.writers import FORMATS, format_of, writer_for

WORDS = (
    Word(word="GOOD", start_s=0.5, end_s=0.75, confidence=0.9),
    Word(word="MORNING", start_s=0.8, end_s=1.8, confidence=0.8),
)
FINAL: dict[str, Any] = {"start_s": 0.0, "latency_s": 0.5, "model": "starter"}
EVENTS: list[Event] = [
    SpeechStarted(utterance=0, start_s=0.0),
    Partial(
        utterance=0,
        start_s=0.0,
        end_s=1.0,
        stable_text="GOOD",
        unstable_text="MORN",
        text="GOOD MORN",
    ),
    Final(utterance=0, end_s=2.0, text="GOOD MORNING", words=WORDS, **FINAL),
    SpeechStarted(utterance=1, start_s=2.0),
    Final(utterance=1, end_s=3.0, text="", words=(), **FINAL | {"start_s": 2.0}),
    AudioDropped(start_s=3.0, duration_s=1.5, reason="the model does not keep up"),
    DeviceLost(device="Café", at_s=4.5),
    DeviceRestored(device="Café", at_s=5.0),
    Closed(statistics=Statistics(captured_s=4.5, dropped_s=1.5)),
]
FIELDS = {
    "speech_started": ["type", "utterance", "start_s"],
    "partial": [
        "type",
        "utterance",
        "start_s",
        "end_s",
        "stable_text",
        "unstable_text",
        "text",
        "words",
    ],
    "final": ["type", "utterance", "start_s", "end_s", "text", "words", "latency_s", "model"],
    "audio_dropped": ["type", "start_s", "duration_s", "reason"],
    "device_lost": ["type", "device", "at_s"],
    "device_restored": ["type", "device", "at_s"],
    "closed": ["type", "statistics"],
}


class Watched(io.StringIO):
    """Remembers what had been written whenever it was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = ""

    def flush(self) -> None:
        super().flush()
        self.flushed = self.getvalue()


def written(form: str, source: str | None = None, style: TextStyle | None = None) -> str:
    out = Watched()
    writer = writer_for(form, out, source, style)
    for event in EVENTS:
        writer.write(event)
        assert out.flushed == out.getvalue(), "not complete after an event"
    return out.getvalue()


def test_text_is_a_line_for_each_final_with_words() -> None:
    assert written("text") == "GOOD MORNING\n"


def test_jsonl_is_every_event_with_the_documented_fields() -> None:
    objects = [json.loads(line) for line in written("jsonl").splitlines()]
    assert [thing["type"] for thing in objects] == [event.type for event in EVENTS]
    for thing in objects:
        assert list(thing) == FIELDS[thing["type"]]
    assert set(FIELDS) == {thing["type"] for thing in objects}
    final = objects[2]
    assert final["text"] == "GOOD MORNING"
    assert final["words"][0] == {
        "word": "GOOD",
        "start_s": 0.5,
        "end_s": 0.75,
        "confidence": 0.9,
        "written": "",
    }
    assert objects[-1]["statistics"]["captured_s"] == 4.5


def test_jsonl_of_several_inputs_names_the_source_first() -> None:
    for line in written("jsonl", "a folder/b.wav").splitlines():
        assert next(iter(json.loads(line).items())) == ("source", "a folder/b.wav")


def test_jsonl_is_readable_in_every_language() -> None:
    assert "Café" in written("jsonl")


def test_jsonl_is_json_in_any_encoding() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "latin-1", errors="replace")
    writer_for("jsonl", out, "日.wav").write(EVENTS[0])
    out.seek(0)
    assert json.loads(out.read())["source"] == "日.wav"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("text", "Good morning.\n"),
        ("srt", "1\n00:00:00,500 --> 00:00:01,800\nGood morning.\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.500 --> 00:00:01.800\nGood morning.\n\n"),
    ],
)
def test_what_people_read_can_be_made_readable(form: str, expected: str) -> None:
    assert written(form, style=TextStyle()) == expected


def test_jsonl_holds_the_words_as_recognised_in_any_style() -> None:
    assert written("jsonl", style=TextStyle()) == written("jsonl")


def test_subrip_is_numbered_cues() -> None:
    assert written("srt") == "1\n00:00:00,500 --> 00:00:01,800\nGOOD MORNING\n\n"


def test_subrip_cues_are_counted_across_finals() -> None:
    out = io.StringIO()
    writer = writer_for("srt", out)
    for start_s in (0.0, 10.0):
        word = Word(word="YES", start_s=start_s, end_s=start_s + 1.0, confidence=1.0)
        writer.write(
            Final(
                utterance=0,
                end_s=start_s + 1.0,
                text="YES",
                words=(word,),
                **FINAL | {"start_s": start_s},
            )
        )
    assert out.getvalue() == (
        "1\n00:00:00,000 --> 00:00:01,000\nYES\n\n2\n00:00:10,000 --> 00:00:11,000\nYES\n\n"
    )


def test_webvtt_begins_with_its_name() -> None:
    assert written("vtt") == "WEBVTT\n\n00:00:00.500 --> 00:00:01.800\nGOOD MORNING\n\n"


def test_webvtt_without_speech_is_a_valid_file() -> None:
    out = Watched()
    writer_for("vtt", out)
    assert out.flushed == "WEBVTT\n\n"


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.txt", "text"), ("a.jsonl", "jsonl"), ("a.b.srt", "srt"), ("A.VTT", "vtt")],
)
def test_the_ending_of_a_file_says_its_format(name: str, form: str) -> None:
    assert form in FORMATS
    assert format_of(Path(name)) == form


@pytest.mark.parametrize("name", ["a.docx", "a", ".srt"])
def test_an_unknown_ending_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"Expected a file ending in .txt, .*found '{name}'"):
        format_of(Path(name))
