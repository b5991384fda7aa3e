"""Dictation: what stands on the page after what was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoken import final, partial, said, utterances, written, written_utterances

from streamer import SpeechStarted, Word
from streamer.dictation import Delete, Dictation, Edit, Insert, Mode, NewLine
from streamer.settings import TextStyle
from streamer.spoken_commands import Commands

STYLE = TextStyle(sentence_ends=False)
REPLACEMENTS = {"my mail": "me@example.org", "MY MAIL ADDRESS": "me@home", "house": "", "o": "("}


def dictation(mode: Mode = Mode.FINAL, style: TextStyle = STYLE) -> Dictation:
    return Dictation(style, mode=mode, allow_newlines=True, replacements=REPLACEMENTS)


def dictated(*utterances: str, style: TextStyle = STYLE) -> str:
    page = dictation(style=style)
    for text in utterances:
        page.push(final(said(text)))
    return page.text


def replayed(text: str, edits: list[Edit]) -> str:
    """What a page shows after the edits."""
    for edit in edits:
        if isinstance(edit, Insert):
            assert edit.text
            assert "\n" not in edit.text
            text += edit.text
        elif isinstance(edit, NewLine):
            text += "\n"
        else:
            assert 0 < edit.n_characters <= len(text)
            text = text[: -edit.n_characters]
    return text


@given(st.lists(utterances() | written_utterances(), max_size=4), st.data())
def test_what_is_typed_is_the_same_in_the_end_however_it_was_typed(
    spoken: list[list[Word]], data: st.DataObject
) -> None:
    pages = dict.fromkeys(Mode, "")
    for mode in Mode:
        dictations = dictation(mode)
        for words in spoken:
            n_stable = 0
            for _ in range(3):
                n_stable = data.draw(st.integers(n_stable, len(words)))
                n_words = data.draw(st.integers(n_stable, len(words)))
                event = partial(words[:n_words], n_stable)
                pages[mode] = replayed(pages[mode], dictations.push(event))
            pages[mode] = replayed(pages[mode], dictations.push(final(words)))
            assert pages[mode] == dictations.text
    assert len(set(pages.values())) == 1


def test_a_mark_that_comes_with_the_next_stable_word_takes_nothing_back() -> None:
    page = dictation(Mode.STABLE)
    without, marked = written("Thy beauty"), written("Thy beauty, and")
    edits = page.push(partial(without, 2)) + page.push(partial(marked, 3))
    edits += page.push(final(written("Thy beauty, and thy years")))
    assert all(isinstance(edit, Insert) for edit in edits)
    assert replayed("", edits) == "Thy beauty, and thy years"


@given(utterances() | written_utterances(), st.booleans())
def test_what_was_decided_is_never_decided_otherwise(words: list[Word], ends: bool) -> None:
    style = TextStyle(sentence_ends=ends)
    page = Commands(style, allow_newlines=True, replacements=REPLACEMENTS)
    before: list[object] = []
    for n_words in range(len(words) + 1):
        phrases = page.pieces(words[:n_words], is_complete=False)
        pieces: list[object] = [piece for phrase in phrases for piece in phrase]
        assert pieces[: len(before)] == before
        before = pieces
    phrases = page.pieces(words, is_complete=True, is_over=True)
    assert [piece for phrase in phrases for piece in phrase][: len(before)] == before


@given(
    (utterances() | written_utterances()).filter(
        lambda words: all(word.word != "SCRATCH" for word in words)
    )
)
def test_stable_words_are_typed_without_ever_deleting(words: list[Word]) -> None:
    page = dictation(Mode.STABLE)
    events = [partial(words[: n + 1], n) for n in range(len(words))]
    edits = [edit for event in [*events, final(words)] for edit in page.push(event)]
    assert not any(isinstance(edit, Delete) for edit in edits)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("DEAR ANNE COMMA", "Dear anne,"),
        ("IT IS LATE PERIOD GOOD NIGHT FULL STOP", "It is late. Good night."),
        ("ARE YOU THERE QUESTION MARK YES EXCLAMATION MARK", "Are you there? Yes!"),
        ("TWO THINGS COLON THIS SEMICOLON THAT", "Two things: this; that"),
        ("HE SAID OPEN QUOTE NO CLOSE QUOTE COMMA TWICE", 'He said "no", twice'),
        ("HELLO NEW LINE I AM HERE NEW PARAGRAPH BYE", "Hello\nI am here\n\nBye"),
        ("CAPS BLUE AND CAPITAL GREEN", "Blue and Green"),
        ("ALL CAPS DO NOT END CAPS ENTER", "DO NOT enter"),
        ("ALL CAPS STOP COMMA PLEASE", "STOP, please"),
        ("ALL CAPS STOP / PLEASE", "STOP please"),
        ("TWENTY THREE COMMA FIVE DOLLARS", "23, $5"),
        ("WRITE TO MY MAIL PERIOD", "Write to me@example.org."),
        ("WRITE TO MY MAIL ADDRESS", "Write to me@home"),
        ("THE HOUSE IS O OLD", "The is (old"),
        ("I THINK I'M LATE", "I think I'm late"),
        ("I LIVE IN THE U S A PERIOD", "I live in the U S A."),
        ("ALL CAPS N A S A END CAPS IS", "N A S A is"),
    ],
)
def test_commands_are_carried_out(said: str, expected: str) -> None:
    assert dictated(said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("A LONG PERIOD OF TIME", "A long period of time"),
        ("THE PERIOD WAS LONG", "The period was long"),
        ("PUT A COMMA THERE", "Put a comma there"),
        ("IT CAME TO A FULL STOP", "It came to a full stop"),
        ("A NEW LINE OF SHOES", "A new line of shoes"),
        ("DON'T SCRATCH THAT ITCH", "Don't scratch that itch"),
        ("PARIS IS THE CAPITAL OF FRANCE", "Paris is the capital of France"),
        ("CAPITAL LETTERS", "Capital letters"),
        ("WRITTEN IN ALL CAPS", "Written in all caps"),
        ("WRITE IT IN ALL CAPS PLEASE", "Write it in all caps please"),
        ("PUT A SEMI COLON THERE", "Put a semi colon there"),
        ("IT RAISED CAPITAL FROM ANNE", "It raised capital from anne"),
        ("PRICE CAPS ON ENERGY", "Price caps on energy"),
        ("A LITERAL VIEW", "A literal view"),
    ],
)
def test_what_only_sounds_like_a_command_is_written(said: str, expected: str) -> None:
    assert dictated(said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("TYPE LITERAL COMMA HERE", "Type comma here"),
        ("LITERAL NEW LINE", "New line"),
        ("LITERAL SCRATCH THAT", "Scratch that"),
    ],
)
def test_literal_writes_the_words_of_a_command(said: str, expected: str) -> None:
    assert dictated(said) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Well, I saw Anna in Hamburg. She was late.", "Well, I saw Anna in Hamburg. She was late"),
        ("Hello, Comma, Anna.", "Hello, Anna"),
        ("I was late. Period. She left.", "I was late. She left"),
        ("I was late, period. She left.", "I was late. She left"),
        ("Are you there? New line. Yes.", "Are you there?\nYes"),
        ("It was late, / Question mark.", "It was late?"),
        ("It was late. / She left.", "It was late. She left"),
        ("He took Twenty three, Mr. Smith two.", "He took 23, Mr. Smith two"),
        ("Hello. Comma. How are you?", "Hello, how are you"),
        ("There were twenty. Two broke.", "There were 20. Two broke"),
        ("It costs five dollars. Twenty of them.", "It costs $5. 20 of them"),
        ("We took plan B.", "We took plan B"),
        ("McDonald came. NASA did. / BBC News too.", "McDonald came. NASA did. BBC News too"),
        ("Plan B. Smith says so.", "Plan B. Smith says so"),
        ("Plan B. Period. No.", "Plan B. No"),
        ("I moved to D.C. Period. It was three P.M. / Period", "I moved to D.C. It was 3 p.m."),
    ],
)
def test_case_and_marks_between_words_are_the_models_but_for_those_dictated(
    text: str, expected: str
) -> None:
    page = dictation()
    page.push(final(written(text)))
    assert page.text == expected


def test_marks_can_be_left_to_dictation_alone() -> None:
    page = Dictation(STYLE, marks=False)
    page.push(final(written("Well, I saw Anna. Comma, good.")))
    assert page.text == "Well I saw Anna, good"


@pytest.mark.parametrize(
    ("utterances", "expected"),
    [
        (["GOOD MORNING", "SCRATCH THAT"], ""),
        (["GOOD MORNING", "BAD SCRATCH THAT", "TO YOU"], "Good morning to you"),
        (["GOOD / BAD / SCRATCH THAT / MORNING"], "Good morning"),
        (["ONE THING", "ANOTHER", "SCRATCH THAT", "SCRATCH THAT", "NEW"], "New"),
        (["HELLO PERIOD", "BAD WORD", "SCRATCH THAT", "NOW"], "Hello. Now"),
        (["SCRATCH THAT"], ""),
        (["TO MY MAIL", "SCRATCH THAT AND ON"], "And on"),
    ],
)
def test_scratch_that_takes_back_what_was_said_since_the_last_pause(
    utterances: list[str], expected: str
) -> None:
    assert dictated(*utterances) == expected


def test_a_new_line_is_no_text_and_comes_only_where_it_is_allowed() -> None:
    words = final(said("ONE NEW LINE TWO"))
    allowed = Dictation(STYLE, allow_newlines=True).push(words)
    assert allowed == [Insert("One"), NewLine(), Insert("Two")]
    assert Dictation(STYLE).push(words) == [Insert("One new line two")]


def test_live_text_is_corrected_with_the_fewest_deletions() -> None:
    page = dictation(Mode.LIVE)
    assert page.push(partial(said("A GOOD MORN"), 1)) == [Insert("A good morn")]
    assert page.push(partial(said("A GOOD MORNING COMMA"), 2)) == [Insert("ing,")]
    assert page.push(final(said("A GOOD MOURNING"))) == [Delete(6), Insert("urning")]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("I THINK WE SHOULD GO", "I THINK WE SHOULD STAY"),
        ("HELLO WORLD", "HELLO"),
    ],
)
def test_finals_are_corrected_phrase_by_phrase(before: str, now: str) -> None:
    page = dictation()
    page.push(final(said(f"IT IS LATE / {before}")))
    edits = page.push(final(said(f"SCRATCH THAT {now}")))
    assert edits == [Delete(1 + len(before)), Insert(page.text.removeprefix("It is late"))]


def test_stable_words_that_may_become_a_command_are_not_typed_yet() -> None:
    page = dictation(Mode.STABLE)
    words = said("WELL NEW LINE NOW")
    typed = [page.push(partial(words[:n], n)) for n in (1, 2, 3, 4)]
    assert typed == [[Insert("Well")], [], [], [NewLine(), Insert("Now")]]


def test_by_default_nothing_is_typed_before_an_utterance_is_over() -> None:
    page = dictation()
    assert page.push(SpeechStarted(utterance=0, start_s=0.0)) == []
    assert page.push(partial(said("GOOD MORNING"), 2)) == []
    assert page.push(final(said("GOOD MORNING"))) == [Insert("Good morning")]


def test_pauses_end_sentences_where_that_is_wanted_and_no_mark_was_dictated() -> None:
    style = TextStyle()
    assert dictated("HE CAME HOME / SHE LEFT", "ARE YOU SURE", style=style) == (
        "He came home. She left. Are you sure?"
    )
    assert (
        dictated("HE CAME HOME COMMA", "SHE LEFT PERIOD", style=style) == "He came home, she left."
    )


def test_a_long_dictation_goes_on_where_it_was() -> None:
    page, shown = dictation(), ""
    for _ in range(250):
        shown = replayed(shown, page.push(final(said("IT IS SO PERIOD"))))
    assert shown == " ".join(["It is so."] * 250)
    for _ in range(3):
        shown = replayed(shown, page.push(final(said("SCRATCH THAT"))))
    assert shown == " ".join(["It is so."] * 247)


@pytest.mark.parametrize(
    ("replacements", "message"),
    [
        ({" ": "x"}, "Expected a spoken phrase for 'x'"),
        ({"sign": "a\nb"}, "without line breaks or control characters for 'sign'"),
        ({"send": "\r"}, "without line breaks or control characters for 'send'"),
        ({"half": "\ud83d"}, "without line breaks or control characters for 'half'"),
    ],
)
def test_a_replacement_that_cannot_work_is_refused(
    replacements: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Dictation(STYLE, replacements=replacements)


@pytest.mark.parametrize("text", ["1\u00a0000", "\U0001f469\u200d\U0001f4bb", "\u00ad", "\u200fא"])
def test_a_replacement_may_have_what_is_not_seen(text: str) -> None:
    page = Dictation(STYLE, replacements={"it": text})
    page.push(final(said("IT")))
    assert page.text == text


def test_a_replacement_may_have_line_breaks_where_they_are_allowed() -> None:
    page = Dictation(STYLE, allow_newlines=True, replacements={"sign": "Yours,\nAnne"})
    assert page.push(final(said("THANKS PERIOD SIGN"))) == [
        Insert("Thanks. Yours,"),
        NewLine(),
        Insert("Anne"),
    ]
