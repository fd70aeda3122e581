"""The one conversion from pydantic's errors to the block's: places, order, and that no input comes back."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import Field, field_validator

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException, PostroomError, PropertyNullException
from postroom_contract.refusal import ContractModel, refuse


class Inner(ContractModel):
    """A model inside another."""

    some_text: str

    @field_validator("some_text")
    @classmethod
    def _no_x(cls, text: str) -> str:
        if text == "x":
            raise refuse(ErrorCode.INVALID_ARGUMENT, "unknown_value", limit=7)
        if text == "y":
            raise refuse(ErrorCode.EMPTY_PROPERTY, at="Deeper")
        return text


class Outer(ContractModel):
    """A model of everything that a place can consist of."""

    inner: Inner
    a_list: tuple[Inner, ...] = ()
    by_name: dict[str, int] = Field(default_factory=dict)
    number: int = 0
    flag: bool = False


def refused(**data: object) -> PostroomError:
    """The error of `Outer`."""
    with pytest.raises(PostroomError) as caught:
        Outer.accept(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"inner": None}, "Inner"),
        ({"Inner": {}}, "Inner.SomeText"),
        ({"inner": {"some_text": None}}, "Inner.SomeText"),
        ({"inner": {"SomeText": "y"}}, "Inner.SomeText.Deeper"),
        ({"inner": {"some_text": "a"}, "a_list": [{"some_text": "a"}, {"some_text": "x"}]}, "AList[1].SomeText"),
        ({"inner": {"some_text": "a"}, "by_name": {"canary@example.com": "no"}}, "ByName"),
        ({"inner": {"some_text": "a"}, "canary@example.com": 1}, "Input"),
        ({"inner": {"some_text": "a"}, "number": "x"}, "Number"),
    ],
)
def test_places_are_written_as_the_block_has_them(data: dict[str, object], where: str) -> None:
    """PascalCase with indices, in either spelling of the input; a key made up by the caller is never shown."""
    error = refused(**data)

    assert error.facts["property"] == where
    assert "canary" not in f"{error} {error!r} {error.args} {error.message}"


def test_facts_of_the_refusal_reach_the_error() -> None:
    """What a validator knows is among the facts: reason and limit."""
    error = refused(inner={"some_text": "x"})

    assert type(error) is ArgumentException
    assert (error.reason, error.facts["limit"]) == ("unknown_value", 7)


def test_the_wrong_type_is_told_with_the_right_one() -> None:
    """A caller learns what a value should have been."""
    assert "It should be text." in str(refused(inner={"some_text": 5}))
    assert "It should be true or false." in str(refused(inner={"some_text": "a"}, flag="perhaps"))
    assert "It should be a list." in str(refused(inner={"some_text": "a"}, a_list=5))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SomeTekst", "There is no such property; SomeText may be meant."),
        ("some_tekst", "There is no such property; SomeText may be meant."),
        ("SomeText", "There is no such property here; it belongs elsewhere."),
        ("Canary", "There is no such property."),
    ],
)
def test_a_slip_in_a_name_is_told_with_what_may_be_meant(name: str, hint: str) -> None:
    """By the names of all models' properties, for what stands in the wrong place is a slip, too."""
    assert str(refused(inner={"some_text": "a"}, **{name: 1})).endswith(hint)


def test_one_mistake_is_listed_too() -> None:
    """`mistakes` is complete whether it has one entry or more."""
    assert refused(inner=None).mistakes == [
        {
            "property": "Inner",
            "type": "PropertyNullException",
            "error_code": 1002,
            "reason": None,
            "message": "Inner is required and is null.",
        }
    ]


def test_making_accepting_and_parsing_raise_the_same() -> None:
    """The constructor, `accept` and `accept_json` refuse alike, and pydantic's own error is not in the chain."""
    nothing: Any = None
    made: list[Callable[[], Outer]] = [
        lambda: Outer(inner=nothing),
        lambda: Outer.accept({"inner": None}),
        lambda: Outer.accept_json('{"inner": null}'),
    ]
    for make in made:
        with pytest.raises(PropertyNullException) as caught:
            make()
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_the_input_is_in_no_part_of_the_error() -> None:
    """Neither the error nor the traceback's chain repeats what was passed in."""
    error = refused(inner={"some_text": {"canary": "canary"}}, number="canary", a_list="canary")
    chained = f"{error.__context__} {error.__context__!r}"

    assert "canary" not in f"{error} {error!r} {error.args} {error.as_dict()} {error.mistakes} {chained}"


def test_models_already_made_are_taken_as_they_are() -> None:
    """`accept` of a model gives that model: nothing is checked twice."""
    inner = Inner(some_text="a")

    assert Inner.accept(inner) is inner
    assert Outer(inner=inner).inner is inner
