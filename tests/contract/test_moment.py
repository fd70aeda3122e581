"""Points in time: what is read, what is refused, and which instant is meant where the clocks change."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_contract.errors import ArgumentException
from postroom_contract.moment import Moment
from postroom_contract.refusal import ContractModel

BERLIN = ZoneInfo("Europe/Berlin")
NINE = datetime(2030, 3, 1, 8, tzinfo=UTC)


class Letter(ContractModel):
    """Something with a time."""

    send_at: Moment | None = None


def read(value: object) -> datetime | None:
    """What a model makes of a value."""
    return Letter.accept({"send_at": value}).send_at


@pytest.mark.parametrize(
    "written",
    [
        "2030-03-01T09:00:00+01:00",
        "2030-03-01T08:00:00Z",
        "2030-03-01 08:00+00:00",
        "20300301T080000Z",
        NINE,
        datetime(2030, 3, 1, 9, tzinfo=BERLIN),
        datetime(2030, 2, 28, 22, tzinfo=timezone(timedelta(hours=-10))),
    ],
    ids=str,
)
def test_one_instant_in_many_ways(written: object) -> None:
    """Text and datetimes of any zone are kept as the same instant in UTC."""
    moment = read(written)

    assert moment == NINE
    assert moment is not None
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_time_is_none(nothing: object) -> None:
    """Null and left out are the same."""
    assert read(None) is None
    assert Letter.accept({}).send_at is None


@pytest.mark.parametrize("naive", ["2030-03-01T09:00:00", "2030-03-01", datetime(2030, 3, 1, 9)], ids=str)  # noqa: DTZ001 -- that is the point
def test_a_time_without_a_zone_is_refused(naive: object) -> None:
    """Guessing would send an hour off; the line shows how to write it."""
    with pytest.raises(ArgumentException, match=r"SendAt is not valid\. It needs an offset from UTC") as caught:
        read(naive)

    assert caught.value.reason == "naive_time"


@pytest.mark.parametrize(
    "written",
    [
        *("", "soon", "tomorrow at nine", "09:00", "2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z", "01/03/2030 09:00"),
        "2030-03-01T25:00:00Z",
        "2030-03-01T09:00:00 Europe/Berlin",
        *(1_900_000_000, 1.5, True, date(2030, 3, 1), timedelta(hours=1), ["2030-03-01T09:00:00Z"]),
        # In UTC these lie outside of what a datetime can be.
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"),
    ],
    ids=str,
)
def test_what_is_no_time_is_refused_and_not_quoted(written: object) -> None:
    """A number could be seconds or milliseconds: it is not guessed at either."""
    with pytest.raises(ArgumentException, match=r"SendAt is not valid\. Write it as ISO 8601 with an offset") as caught:
        read(written)

    assert caught.value.reason == "unreadable_time"
    assert "tomorrow" not in f"{caught.value} {caught.value.args}"


def test_an_hour_that_the_clocks_skip_is_what_python_says_it_is() -> None:
    """02:30 does not exist on that morning: by fold 0 it is 01:30 UTC (03:30 in summer), by fold 1 half an hour past midnight."""
    gap = datetime(2030, 3, 31, 2, 30, tzinfo=BERLIN)

    assert read(gap) == datetime(2030, 3, 31, 1, 30, tzinfo=UTC)
    assert read(gap.replace(fold=1)) == datetime(2030, 3, 31, 0, 30, tzinfo=UTC)


def test_an_hour_that_comes_twice_is_told_apart_by_its_fold() -> None:
    """02:30 comes twice on that morning, an hour apart."""
    twice = datetime(2030, 10, 27, 2, 30, tzinfo=BERLIN)

    assert read(twice) == datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    assert read(twice.replace(fold=1)) == datetime(2030, 10, 27, 1, 30, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 -- Hypothesis adds the zone
def test_no_instant_is_moved(moment: datetime) -> None:
    """Whatever zone, gap or fold: what is kept is the instant that Python's datetime names, to the microsecond."""
    kept = read(moment)

    assert kept == moment.astimezone(UTC)
    assert read(moment.isoformat()) in {kept, moment.replace(fold=0).astimezone(UTC)} or moment.utcoffset() is None
