"""What the cells of a column are guessed to be."""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.rancast.drafts import column, csv, drafted, one_column, stamps, text_of

N = 60


def cycled(*cells: Any) -> list[Any]:
    """These cells over and over."""
    return [cells[place % len(cells)] for place in range(N)]


@pytest.mark.parametrize(
    ("cells", "kind", "missing"),
    [
        (cycled(1, 2, 3), "integer", ()),
        (cycled("1.5", "2"), "float", ()),
        (cycled("1e3", "2"), "float", ()),
        (cycled("true", "False", "TRUE"), "boolean", ()),
        (cycled("yes", "no"), "boolean", ()),
        (cycled("a", "b"), "string", ()),
        (cycled("007", "010"), "string", ()),
        (cycled("1", "2", "NA"), "integer", ("NA",)),
        (cycled("1", "2", "NA", "-", "NULL"), "integer", ("-", "NA", "NULL")),
        (cycled("a", "b", "N/A"), "string", ("N/A",)),
        (cycled("", ""), "string", ()),
        (cycled("-", ""), "string", ("-",)),
        (cycled(*range(29), "OVERFLOW"), "integer", ("OVERFLOW",)),
        (cycled("1", "2", "x"), "string", ()),
        (cycled(*range(19), "5 ms"), "string", ()),
        (cycled("9" * 400, "1"), "string", ()),
        (cycled("12345678901234567890", "1"), "float", ()),
    ],
)
def test_types_and_marks(cells: list[Any], kind: str, missing: tuple[str, ...]) -> None:
    """The type that reads every cell, and the marks that stand for no value."""
    guess = one_column(cells)
    assert (guess.type, guess.missing) == (kind, missing)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (cycled("007", "10"), "30 cells start with a zero that a number would lose"),
        (cycled("a", "NA"), "taken for 'no value', unless it is a word of theirs: 'NA' 30 times"),
        (cycled("1", "-"), "taken for 'no value': '-' 30 times"),
        (cycled("1", ""), "30 of 60 cells are empty"),
        (cycled(0, 1), "0 and 1 only: boolean, if it is a flag"),
        (cycled(5), "always 5"),
        (cycled("1", "2", "x"), "mixed: 66.7% of the cells are numbers, 20 are not, in 1 spelling"),
        (cycled(*range(29), "OVERFLOW"), "the others taken for 'no value': 'OVERFLOW' 2 times"),
        (cycled("yes", "no"), "only 'yes' 30 times, 'no' 30 times"),
    ],
)
def test_evidence(cells: list[Any], sentence: str) -> None:
    """Each guess says what it counted."""
    assert sentence in " ".join(one_column(cells).notes)


def test_a_constant_is_told() -> None:
    """A column of one value is kept; the comment says that it tells nothing, and what names it."""
    text = csv("at,cell,vendor", [(at, cell, "X") for at in stamps(9) for cell in "AB"])
    told = re.sub(r"\s+#\s+", " ", drafted(text).dataset_yaml)
    assert "constant: all 18 cells that have a value have the same" in told
    assert "take vendor out of expectations/" in told


def test_a_well_known_sentinel_far_from_all_others_is_a_mark() -> None:
    """2147483647 beside ratios is not a measurement; -9999 beside -9998 may be one."""
    guess = one_column(cycled("-3.5", "-7", "-11", "2147483647"))
    assert (guess.missing, guess.high) == (("2147483647",), -3.5)
    assert one_column([*range(-9999, -9999 + N)]).missing == ()


def test_a_lonely_value_is_asked_about() -> None:
    """-200 dBm stands far from all others and often: the comment asks, and nothing is dropped."""
    guess = one_column([*range(-120, -60), *[-200] * 6])
    assert guess.missing == () and guess.low == -200
    assert "-200 stands 6 times, far from all others: 'not measured'?" in " ".join(guess.notes)


def test_a_value_set_is_of_few_texts_that_stand_often() -> None:
    """Three technologies are a set; sixty remarks are none."""
    assert one_column(cycled("2G", "LTE", "5G")).categories == ("2G", "5G", "LTE")
    assert one_column([f"remark {place}" for place in range(N)]).categories == ()


@pytest.mark.parametrize("name", ["site_id", "CellID", "NODEHEX", "lac", "RAWCELLID"])
def test_digits_that_name_something_are_text(name: str) -> None:
    """The number of a cell is not a quantity, whatever its digits are."""
    assert one_column(cycled(17, 18, 19), name).type == "string"


# --- people -------------------------------------------------------------------------------------


def numbers(prefix: str, digits: int) -> list[str]:
    """Made-up numbers of that many digits, all different."""
    return [f"{prefix}{place * 7919 + 13:0{digits - len(prefix)}d}" for place in range(N)]


MSISDN, IMSI = numbers("35386", 12), numbers("27201", 15)


def people(header: str, *columns: Iterable[Any]) -> str:
    """Rows of one minute each with these columns."""
    return csv(f"at,{header}", zip(stamps(N, 1), *columns, strict=True))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("msisdn", MSISDN),
        ("anything", MSISDN),
        ("anything", IMSI),
        ("anything", [f"+{number}" for number in MSISDN]),
        ("anything", [f"00{number}" for number in MSISDN]),
        ("customer_id", [f"C-{place:06d}" for place in range(N)]),
        ("Calling Party Number", [f"Called{place}@example.org" for place in range(N)]),
        ("Site Contact", [f"user{place}@mail.example" for place in range(N)]),
        ("anything", [*[f"user{place}@mail.example" for place in range(N - 9)], *["none yet"] * 9]),
        ("anything", [f"+49 151 23{place:05d}" for place in range(N)]),
        ("anything", [f"(0151) 23{place:05d}" for place in range(N)]),
        ("SIM", numbers("8935", 20)),
        ("anything", numbers("8935", 19)),
        ("anything", [*numbers("8935", 19)[9:], *numbers("8935", 20)[:9]]),
    ],
)
def test_identifiers_of_people_are_pseudonymised_and_never_shown(
    name: str, cells: list[str]
) -> None:
    """By its name or by its digits: text, a domain, and no cell in any text of the draft."""
    found = drafted(people(f"{name},used", cells, range(N)))
    guess = found.guesses.columns[1]
    assert found.dataset.pseudonymise == {guess.name: "subscriber"}
    assert found.dataset.columns[guess.name].type == "string"
    assert not [cell for cell in cells if cell in text_of(found)]
    assert not [cell for cell in cells if cell.lstrip("+0") in text_of(found)]


VARIED = [str(10**12 + place * 7919)[: 4 + place % 10] for place in range(N)]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("msisdn", ["4915123456789"] * N),
        ("msisdn", ["+49 151 23456789"] * N),
        ("msisdn", ["0151-234-5678"] * N),
        ("called_number", VARIED),
        ("b_msisdn", VARIED),
        ("msisdn", cycled("4915123456789", "110")),
        ("called_number", cycled("4915123456789", "110", "112", "115", "116117")),
        ("a_number", cycled(*["110"] * 9, "4915123456789")),
        ("caller", cycled("4915123456789", "Bank", "Post")),
        ("caller", cycled("jo@example.org", "Bank")),
        ("customer_volume", MSISDN),
    ],
)
def test_a_name_of_people_is_believed_of_few_or_varied_numbers(name: str, cells: list[str]) -> None:
    """One subscriber alone, dialled numbers of all lengths, or short codes among them."""
    found = drafted(people(f"{name},used", cells, range(N)))
    assert found.dataset.pseudonymise == {name: "subscriber"}
    assert found.dataset.columns[name].type == "string"
    assert not [cell for cell in cells if len(cell) >= 7 and cell in text_of(found)]


@pytest.mark.parametrize("cell", ["0151-234-{}", "(0151) 234 {}", "+49.151.{}", "0151/23{}"])
def test_grouped_digits_are_in_no_set_of_values(cell: str) -> None:
    """Who the number is of does not change with a dash in it, whatever its column is called."""
    cells = cycled(*(cell.format(5678 + place) for place in range(4)))
    assert one_column(cells, "party").categories == ()
    assert one_column(cycled("n1234567", "n1234568"), "party").categories == ()
    assert one_column(cycled("jo@example.org", "al@example.org"), "party").categories == ()
    assert one_column(cycled("A-12-34", "B 2.6"), "party").categories == ("A-12-34", "B 2.6")


def test_numbers_in_national_form_are_hidden_and_asked_about() -> None:
    """Nine digits may be people or things: text, no cell shown, and the decision is a person's."""
    cells = [f"{861000000 + place * 7919}" for place in range(200)]
    found = drafted(csv("at,number", zip(stamps(200, 1), cells, strict=True)))
    assert found.dataset.pseudonymise == {} and found.dataset.columns["number"].type == "string"
    assert "If of people, name it under pseudonymise" in " ".join(
        found.dataset_yaml.split("\n  # ")
    )
    assert not [cell for cell in cells if cell in text_of(found)]


def test_long_digits_are_names_and_asked_about() -> None:
    """Sixteen digits of one length, or more than a counter reaches, are no float that would lose
    the last ones: text, no cell shown, and whose names they are is a person's to say."""
    for cells in (
        numbers("4", 16),
        numbers("7", 18),
        [str(pow(3, 50 + place, 2**64)) for place in range(N)],
    ):
        found = drafted(people("anything,used", cells, range(N)))
        assert found.dataset.pseudonymise == {}
        assert found.dataset.columns["anything"].type == "string"
        assert "If of people, name it under pseudonymise" in found.dataset_yaml.replace(
            "\n  # ", " "
        )
        assert not [cell for cell in cells if cell in text_of(found)]


SINCE_1970 = [1_709_251_200_123_457 + place * 1_234_567_891 for place in range(N)]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("octets", numbers("4", 16), "integer"),
        ("anything", [7 ** (place % 21) for place in range(N)], "float"),
        ("anything", [10**13 * 3 ** (place % 12) for place in range(N)], "float"),
        ("anything", SINCE_1970, "integer"),
        ("anything", [1000 * stamp for stamp in SINCE_1970], "string"),
        ("ts", [1000 * stamp for stamp in SINCE_1970], "string"),
        ("cgi", numbers("27201", 17), "string"),
        ("begun", [f"0{1 + place % 9}-03-2024" for place in range(N)], "string"),
        ("anything", [f"0{1 + place % 9}-03-2024" for place in range(N)], "string"),
        ("anything", [f"10.0.{place}.{place + 100}" for place in range(N)], "string"),
        ("anything", [f"+{place}.25" for place in range(N)], "float"),
    ],
)
def test_counters_and_times_of_many_digits_are_no_people(
    name: str, cells: list[Any], kind: str
) -> None:
    """A counter is told by its unit or its lengths, a time by its nearness to the others, and
    nanoseconds, which datasets do not read, stay text; of none a person is suspected."""
    guess = one_column(cells, name)
    assert (guess.type, guess.is_private, guess.domain) == (kind, False, "")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Distinct Called Numbers", [*range(N)]),
        ("Customer Value", [place * 1.25 for place in range(N)]),
        ("cgi", numbers("27201", 15)),
        ("bytes", [10**place % 999983 for place in range(N)]),
        ("user_type", cycled("prepaid", "postpaid")),
        ("user_bytes", [7 ** (place % 15) for place in range(N)]),
        ("customer_traffic", cycled(1, 10, 5_000_000_000, 77_000)),
        ("Customer Value", [place * 98765.25 for place in range(N)]),
    ],
)
def test_quantities_and_parts_of_the_network_are_no_people(name: str, cells: list[Any]) -> None:
    """A count, an amount, a cell's identity or a kind of tariff identifies nobody."""
    assert drafted(people(f"{name},used", cells, range(N))).dataset.pseudonymise == {}


def test_people_have_one_domain_so_that_they_join() -> None:
    """Caller and callee are pseudonymised alike."""
    found = drafted(people("call_id,caller,callee", range(N), MSISDN, MSISDN[::-1]))
    assert set(found.dataset.pseudonymise.values()) == {"subscriber"}
    assert column(found, "call_id").domain == ""
