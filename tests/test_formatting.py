"""Readable text: sentences, capitals, and that what was shown as stable stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoken import final, partial, said, utterances, written_utterances

from streamer import AudioDropped, DeviceLost, Event, Final, Partial, SpeechStarted, Word
from streamer.formatting import Formatter
from streamer.second_pass import without_marks
from streamer.settings import NUMBER_STYLES, TextStyle


def readable(*utterances: str, style: TextStyle | None = None) -> list[str]:
    formatter = Formatter(style or TextStyle())
    return [shown_final(formatter, said(text)).text for text in utterances]


def shown_final(formatter: Formatter, words: list[Word]) -> Final:
    event = formatter.push(final(words))
    assert isinstance(event, Final)
    return event


def shown_partial(formatter: Formatter, words: list[Word], n_stable: int) -> Partial:
    event = formatter.push(partial(words, n_stable))
    assert isinstance(event, Partial)
    return event


@given(
    utterances() | written_utterances(), st.data(), st.sampled_from(["words", "prose", "digits"])
)
def test_what_was_shown_as_stable_is_never_taken_back(
    words: list[Word], data: st.DataObject, numbers: str
) -> None:
    formatter = Formatter(TextStyle(numbers=numbers))
    shown = ""
    for n_stable in range(len(words) + 1):
        n_words = data.draw(st.integers(n_stable, len(words)))
        heard = words[:n_words]
        if heard:  # What is written behind the last word may still change.
            heard[-1] = replace(heard[-1], written=without_marks(heard[-1].written))
        event = shown_partial(formatter, heard, n_stable)
        assert event.stable_text.startswith(shown)
        assert event.text.startswith(event.stable_text)
        assert event.text.endswith(event.unstable_text)
        assert event.text == " ".join(word.word for word in event.words)
        shown = event.stable_text
    assert shown_final(formatter, words).text.startswith(shown)


@given(utterances())
def test_the_words_shown_are_the_text_and_lie_where_they_were_said(words: list[Word]) -> None:
    event = shown_final(Formatter(TextStyle()), words)
    assert event.text == " ".join(word.word for word in event.words)
    edges = [edge for word in event.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    if words:
        assert (edges[0], edges[-1]) == (words[0].start_s, words[-1].end_s)


@given(utterances())
def test_the_words_as_recognised_stay_as_they_are(words: list[Word]) -> None:
    event = final(words)
    Formatter(TextStyle()).push(event)
    assert event == final(words)


def test_words_that_may_become_a_number_are_not_stable_yet() -> None:
    formatter = Formatter(TextStyle())
    words = said("ABOUT TWENTY THREE PEOPLE")
    shown = [shown_partial(formatter, words[:n], n).stable_text for n in range(5)]
    assert shown == ["", "About", "About", "About", "About 23 people"]
    assert shown_partial(formatter, words[:2], 2).text == "About 20"


def test_a_number_is_one_word_with_the_time_and_the_least_confidence_of_its_parts() -> None:
    parts = said("TWENTY THREE")
    parts[1] = Word(word="THREE", start_s=0.5, end_s=0.9, confidence=0.25)
    event = shown_final(Formatter(TextStyle(sentence_ends=False)), parts)
    assert event.words == (Word(word="23", start_s=0.0, end_s=0.9, confidence=0.25),)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("GOOD MORNING", "Good morning."),
        ("I'M SURE I SEE WHAT I'D DO", "I'm sure I see what I'd do."),
        ("MAY I COME IN", "May I come in?"),
        ("WHAT DO YOU WANT", "What do you want?"),
        ("WHERE ARE YOU", "Where are you?"),
        ("WHAT I SAW WAS THIS", "What I saw was this."),
        ("YOU MARCH ON AND YOU MAY TRY", "You march on and you may try."),
        ("IT WAS IN MAY OR ON MARCH TENTH", "It was in May or on March 10th."),
        ("WILL THE BILL PASS ON MONDAY", "Will the bill pass on Monday."),
        ("MY CAPTAIN O CAPTAIN", "My captain O captain."),
        ("WE MET MISTER QUILTER IN NEW YORK", "We met Mister Quilter in New York."),
        ("THE NEW HOUSE IS GREAT", "The new house is great."),
        ("TEN O'CLOCK AT A B C", "10 o'clock at A B C."),
        ("COME AT SEVEN P M", "Come at 7 p.m."),
        ("ENGLAND'S KING", "England's king."),
    ],
)
def test_sentences_are_written_as_one_would(heard: str, expected: str) -> None:
    assert readable(heard) == [expected]


def test_a_long_pause_ends_a_sentence() -> None:
    assert readable("HE CAME HOME / SHE LEFT") == ["He came home. She left."]


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("IT IS THE / LAST ONE", "It is the last one."),
        ("CALL TWENTY / THREE", "Call 23."),
        ("AND THEN / HE CAME HOME", "And then he came home."),
    ],
)
def test_a_pause_in_mid_sentence_ends_none(heard: str, expected: str) -> None:
    assert readable(heard) == [expected]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (DeviceLost(device="USB", at_s=1.0), "Last one."),
        (AudioDropped(start_s=1.0, duration_s=5.0, reason="it was gone"), "Last one."),
        (AudioDropped(start_s=1.0, duration_s=0.1, reason="it was gone"), "last one."),
    ],
)
def test_no_sentence_goes_on_across_a_gap(event: Event, expected: str) -> None:
    formatter = Formatter(TextStyle())
    assert shown_final(formatter, said("IT IS THE")).text == "It is the"
    assert formatter.push(event) == event
    assert shown_final(formatter, said("LAST ONE")).text == expected


def test_an_utterance_goes_on_where_the_last_one_did_not_end() -> None:
    assert readable("IT IS THE", "LAST ONE", "NOW", "IN WINTER", "IT SNOWS") == [
        "It is the",
        "last one.",
        "Now.",
        "In winter",
        "it snows.",
    ]
    assert readable("AT NIGHT", "WHEN DO WE", "GO") == ["At night", "when do we?", "Go."]


def test_an_utterance_without_words_ends_nothing() -> None:
    assert readable("IT IS THE", "", "LAST ONE") == ["It is the", "", "last one."]


def test_without_sentence_ends_a_pause_is_only_a_pause() -> None:
    style = TextStyle(sentence_ends=False)
    assert readable("ONE MORE / THING", "AND ON", style=style) == ["One more thing", "and on"]


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("ICH KOMME AM ELFTEN MAI UM ZEHN", "Ich komme am elften mai um zehn."),
        ("I RAGAZZI E IL SIX", "I ragazzi e il six."),
        ("ПРИВЕТ КАК ДЕЛА", "Привет как дела."),
        ("日本語 です", "日本語 です"),
        ("مرحبا بك", "مرحبا بك"),
        ("Ärger in Wien", "Ärger in Wien."),
        ("ẞ", "ß."),
    ],
)
def test_other_languages_get_case_and_sentence_ends_only(heard: str, expected: str) -> None:
    assert readable(heard, style=TextStyle(language="de-AT")) == [expected]


@given(st.lists(st.text(min_size=1).filter(lambda text: text.split() == [text]), max_size=6))
def test_any_word_of_any_alphabet_is_only_changed_in_case(texts: list[str]) -> None:
    words = said(" ".join(text for text in texts if text != "/"))
    style = TextStyle(language="xx", sentence_ends=False)
    shown = shown_final(Formatter(style), words).text
    assert _folded(shown) == _folded(final(words).text)


def _folded(text: str) -> str:
    return text.upper().lower().upper().casefold()


def test_spelled_letters_are_capitals_whatever_the_model_writes() -> None:
    assert Formatter(TextStyle()).push(marked("It is a P i t t, I said.")).text == (
        "It is a P I T T, I said."
    )


def test_a_name_keeps_its_case_where_an_utterance_goes_on() -> None:
    formatter = Formatter(TextStyle())
    shown = [formatter.push(marked(text)).text for text in ("I work for the", "NASA people.")]
    assert shown == ["I work for the", "NASA people."]


def test_a_model_that_knows_case_keeps_it() -> None:
    assert readable("the McCoy and iPhone") == ["The McCoy and iPhone."]


def test_other_events_are_returned_as_they_are() -> None:
    event = SpeechStarted(utterance=0, start_s=0.0)
    assert Formatter(TextStyle()).push(event) is event


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"numbers": "roman"}, "numbers as words, prose, digits, found 'roman'"),
        ({"sentence_pause_s": 0.0}, "sentence_pause_s above 0, found 0.0"),
    ],
)
def test_a_style_out_of_range_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextStyle(**arguments)  # type: ignore[arg-type]


def marked(text: str, number: int = 0) -> Final:
    """The final of a model that writes case and marks, one word every 0.3 s."""
    written = text.split()
    said = tuple(
        Word(
            word=word.strip(".,?!").upper(),
            start_s=0.3 * i,
            end_s=0.3 * i + 0.2,
            confidence=0.9,
            written=word,
        )
        for i, word in enumerate(written)
    )
    return Final(
        utterance=number,
        start_s=0.0,
        end_s=0.3 * len(said),
        text=" ".join(word.word for word in said),
        words=said,
        latency_s=0.0,
        model="m",
    )


def marked_partial(text: str, n_stable: int) -> Partial:
    final = marked(text)
    heard = [word.word for word in final.words]
    return Partial(
        utterance=0,
        start_s=0.0,
        end_s=final.end_s,
        stable_text=" ".join(heard[:n_stable]),
        unstable_text=" ".join(heard[n_stable:]),
        text=" ".join(heard),
        words=final.words,
    )


def test_case_and_marks_that_a_model_writes_are_kept() -> None:
    formatter = Formatter(TextStyle())
    shown = [
        formatter.push(marked(text)).text
        for text in (
            "Please call Stella, at ten. Ask for twenty three things!",
            "Is it Holbein?",
            "Mr. Smith came",  # nothing stands behind it: the pause decides
        )
    ]
    assert shown == [
        "Please call Stella, at 10. Ask for 23 things!",
        "Is it Holbein?",
        "Mr. Smith came.",
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("In nineteen eighty, four soldiers died.", "In 1980, four soldiers died."),
        ("Out of two hundred, fifty came.", "Out of 200, 50 came."),
        ("At five, thirty guests came.", "At five, thirty guests came."),
        ("Of two thousand, fifty came.", "Of two thousand, fifty came."),
        ("In two thousand, second came Anna.", "In 2000, second came Anna."),
        ("In two thousand, three hundred came.", "In 2000, 300 came."),
        ("Chapters one, four, six, eight.", "Chapters one, four, six, eight."),
        ("Oh, oh, oh, what a night.", "Oh, oh, oh, what a night."),
        ("It costs five dollars, twenty are left.", "It costs $5, 20 are left."),
        ("Two point five, three came.", "2.5, three came."),
        ("Two, three million dollars.", "Two, three million dollars."),
        ("Two hundred, three hundred thousand.", "200, three hundred thousand."),
    ],
)
def test_no_number_goes_on_behind_a_mark(written: str, expected: str) -> None:
    assert Formatter(TextStyle()).push(marked(written)).text == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("One million, two hundred thousand came.", "1,200,000 came."),
        ("Call five, five, five, one two, oh, two.", "Call 5551202."),
        ("May twenty third, nineteen eighty four.", "May 23rd, 1984."),
    ],
)
def test_a_comma_inside_a_number_parts_nothing(written: str, expected: str) -> None:
    assert Formatter(TextStyle()).push(marked(written)).text == expected


@pytest.mark.parametrize("numbers", NUMBER_STYLES)
def test_an_abbreviation_ends_no_sentence(numbers: str) -> None:
    formatter = Formatter(TextStyle(numbers=numbers))
    shown = [
        formatter.push(marked(text)).text
        for text in (
            "It was half past three P. M. in Washington, D.C., with J. R. Smith of the U.S.",
            "So it was half past eleven p.m..",
            "And at eleven p. m. So am I. A man came.",
        )
    ]
    in_digits = {"half past three": "3:30", "half past eleven": "11:30", "eleven": "11"}
    for words, digits in in_digits.items():
        shown = [text.replace(words, digits) for text in shown]
    assert shown == [
        "It was 3:30 p.m. in Washington, D.C., with J. R. Smith of the U.S.",
        "So it was 11:30 p.m.",
        "And at 11 p.m. So am I. A man came.",
    ]


def test_a_full_stop_where_nothing_can_end_is_not_kept() -> None:
    formatter = Formatter(TextStyle())
    first, second = formatter.push(marked("Ask for the.")), formatter.push(marked("Things I want."))
    assert (first.text, second.text) == ("Ask for the", "things I want.")


def test_marks_come_with_the_word_that_follows() -> None:
    formatter = Formatter(TextStyle())
    shown = [
        formatter.push(marked_partial(text, n_stable))
        for text, n_stable in (("Well.", 0), ("Well, I think.", 1), ("Well, I think so.", 3))
    ]
    assert [event.text for event in shown] == ["Well", "Well, I think", "Well, I think so"]
    assert [event.stable_text for event in shown] == ["", "Well,", "Well, I think"]
    assert [event.unstable_text for event in shown] == ["Well", "I think", "so"]
