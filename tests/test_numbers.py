"""Numbers: against an independent library that spells them, and sentences that are traps."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from num2words import num2words

from streamer.formatting import write
from streamer.phrases import Phrase, decided
from streamer.settings import TextStyle


def written(text: str, numbers: str = "prose") -> str:
    phrase = Phrase(text.upper().split(), is_complete=True)
    style = TextStyle(numbers=numbers)
    matches = decided(phrase, lambda phrase, at: write(phrase, at, style))
    return " ".join(piece.text for match in matches for piece in match.pieces)


def spelled(number: float, **how: str) -> str:
    return num2words(number, **how).replace("-", " ").replace(",", "")


@given(st.one_of(st.integers(2, 999_999), st.integers(2, 10**12)))
@example(1_000_005)
@example(200_000)
def test_any_cardinal_is_written_as_its_digits(value: int) -> None:
    text = written(spelled(value), numbers="digits")
    for name, scale in (("trillion", 10**12), ("billion", 10**9), ("million", 10**6)):
        if value % scale == 0 and value < 1000 * scale:
            assert text == f"{value // scale} {name}"
            return
    assert text == (f"{value:,}" if value >= 10_000 else str(value))


@given(st.integers(10, 99_999).filter(lambda value: value % 100))
def test_any_ordinal_from_ten_up_is_written_as_digits(value: int) -> None:
    text = num2words(value, to="ordinal_num")
    expected = f"{value:,}" + text.lstrip("0123456789") if value >= 10_000 else text
    assert written(spelled(value, to="ordinal")) == expected


@given(st.integers(1000, 2099))
def test_any_year_is_written_as_digits(year: int) -> None:
    assert written(f"in {spelled(year, to='year')}") == f"in {year}"


@given(st.integers(2, 99_999), st.integers(0, 99))
def test_any_sum_of_money_is_written_as_digits(dollars: int, cents: int) -> None:
    text = spelled(dollars + cents / 100, to="currency", currency="USD")
    whole = f"{dollars:,}" if dollars >= 10_000 else str(dollars)
    assert written(text) == f"${whole}.{cents:02}"


@given(st.integers(0, 999), st.integers(1, 99))
def test_any_decimal_is_written_as_digits(whole: int, hundredths: int) -> None:
    value = whole + hundredths / 100
    assert written(spelled(value)) == f"{value:g}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("twenty three people", "23 people"),
        ("the nineteen eighties", "the 1980s"),
        ("nineteen o five", "1905"),
        ("in ten sixty six", "in 1066"),
        ("the summer of sixteen ten", "the summer of 1610"),
        ("on january seventh nineteen sixty seven", "on January seventh 1967"),
        ("the first two hundred people", "the first 200 people"),
        ("the first ten minutes", "the first 10 minutes"),
        ("half past seven", "7:30"),
        ("a quarter to one", "12:45"),
        ("at quarter to eight we left", "at 7:45 we left"),
        ("the third quarter to five percent", "the third quarter to 5%"),
        ("last quarter to ten stores", "last quarter to 10 stores"),
        ("fell a quarter to two million dollars", "fell a quarter to $2 million"),
        ("by a quarter to five point two", "by a quarter to 5.2"),
        ("seven thirty p m", "7:30 p.m."),
        ("at nine am", "at 9 a.m."),
        ("number nine am i", "number nine am I"),
        ("he was the second pm of india", "he was the second pm of India"),
        ("half a m", "half a M"),
        ("seven a m", "7 a.m."),
        ("at nine o five", "at 9:05"),
        ("five dollars and ten cents", "$5.10"),
        ("five dollars and ten people", "$5 and 10 people"),
        ("it costs two dollars fifty", "it costs $2.50"),
        ("two dollars twenty five a cup", "$2.25 a cup"),
        ("two dollars fifty cents", "$2.50"),
        ("five dollars twenty minutes ago", "$5 20 minutes ago"),
        ("two dollars five", "$2 five"),
        ("two dollars fifty per gallon", "$2.50 per gallon"),
        ("five dollars twenty per cent", "$5 20%"),
        ("a hundred dollars", "$100"),
        ("three point five million euros", "€3.5 million"),
        ("two million dollars", "$2 million"),
        ("one per cent", "1%"),
        ("two point five percent", "2.5%"),
        ("ten to twenty million dollars", "10 to 20 million dollars"),
        ("two or three point five million euros", "two or 3.5 million euros"),
        ("point five million dollars", "point 5 million dollars"),
        ("twenty or thirty percent", "20 or 30 percent"),
        ("ten or twenty thousand people", "10 or twenty thousand people"),
        ("two to three hundred thousand", "two to three hundred thousand"),
        ("two hundred or three hundred thousand", "200 or three hundred thousand"),
        ("ten to one thousand", "10 to 1000"),
        ("twenty five or thirty", "25 or 30"),
        ("version three point eleven", "version 3.11"),
        ("two point twenty five percent", "2.25%"),
        ("at one point twenty people", "at one point 20 people"),
        ("twenty third of may", "23rd of May"),
        ("may twenty third nineteen eighty four", "May 23rd 1984"),
        ("the thirty second floor", "the 32nd floor"),
        ("on may twenty second we met", "on May 22nd we met"),
        ("twenty second of may", "22nd of May"),
        ("o seven seven", "077"),
        ("five o o", "500"),
        ("five five five one two one two", "5551212"),
        ("a hundred and one dalmatians", "101 dalmatians"),
        ("two thousand and five hundred", "2000 and 500"),
        ("one hundred and two hundred", "100 and 200"),
        ("zero point five", "0.5"),
    ],
)
def test_numbers_are_written_as_digits(text: str, expected: str) -> None:
    assert written(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "one of the two",
        "no one came",
        "second thought",
        "wait a second",
        "three and a half",
        "point out the one point",
        "a hundred people",
        "half a million",
        "half a million dollars",
        "point five percent",
        "three or four thousand dollars",
        "two to three million dollars",
        "five or ten per cent",
        "one and a half to two thousand dollars",
        "two or three",
        "four or five hundred",
        "five and twenty years",
        "one twenty",
        "two three days",
        "ten twenty",
        "before ten thirty",
        "about fifteen twenty kids",
        "he is eighteen nineteen",
        "the ticket cost nineteen ninety nine",
        "oh oh oh",
        "fifteen twenty minutes",
        "it is a fifteen twenty minute walk",
        "thirty second breaks",
        "twenty one twenty two twenty three",
        "one two three go",
        "three two one",
        "one third",
        "a tenth of it",
        "a twenty second pause",
        "oh one more thing",
        "a quarter of them",
        "a quarter to one of them",
        "in twenty twenty per cent",
        "at five twenty per cent",
        "half of seven",
        "hundreds of them",
        "three hundred thousand million",
        "the eighties",
    ],
)
def test_what_is_no_number_or_a_small_one_stays_words_in_prose(text: str) -> None:
    assert written(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("three of two hundred", "3 of 200"),
        ("no one came", "no one came"),
        ("one twenty", "one 20"),
        ("two three days", "2 3 days"),
        ("four or five hundred", "4 or five hundred"),
        ("three or four thousand dollars", "3 or four thousand dollars"),
        ("half a million euros", "half a million euros"),
        ("eight hundred five five five one two one two", "800 5551212"),
        ("two thousand five five five", "2000 555"),
        ("two hundred five one hundred", "205 100"),
        ("thirty second breaks", "30 second breaks"),
        ("first of all", "first of all"),
        ("the first ten percent", "the first 10%"),
        ("nineteen ninety nine dollars", "19 99 dollars"),
        ("ten twenty percent", "10 20 percent"),
    ],
)
def test_with_digits_small_numbers_are_digits_too(text: str, expected: str) -> None:
    assert written(text, numbers="digits") == expected


def test_as_words_numbers_stay_as_they_were_said() -> None:
    text = "five dollars at half past seven in nineteen eighty four"
    assert written(text, numbers="words") == text
