"""How bad input is refused: the base of all models, and the one conversion from pydantic's errors to the block's.

Owns the rule which mistake decides the raised type (the first in field order) and that all mistakes are listed. The
models themselves say what is wrong with their own fields, through `refuse`. Input values never appear in any error.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import Facts, PostroomError, make_error

if TYPE_CHECKING:
    from collections.abc import Mapping

# The name under which `refuse` travels through pydantic, which would lose the type of a plain ValueError.
_REFUSED = "postroom_refused"
# Opens the name of a union's member, which pydantic puts into a mistake's place and no reader knows.
TAG = "#"
# pydantic's words for "no such number", and for the mistakes that have a reason of their own.
_OUT_OF_RANGE = {"greater_than_equal", "less_than_equal"}
_ENDS = {"ge": "least", "le": "most"}
_REASONS = {"extra_forbidden": "unknown_property", "literal_error": "unknown_value"}
# What a value of the wrong type should have been, by pydantic's word for it.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "json_invalid": "valid JSON",
}
# The names of all models' properties, and how alike one must be to be what was meant: `Subjekt` is like `Subject`.
_PROPERTIES: set[str] = set()
_ALIKE = 0.75
# A key that a caller made up may be an address or worse: only what looks like a property is named.
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def refuse(
    code: ErrorCode, reason: str | None = None, *, at: str | None = None, **facts: object
) -> PydanticCustomError:
    """The error that a validator raises: it reaches the caller as the block's exception for `code`.

    Args:
        code: what is wrong.
        reason: the word that tells apart what shares the code.
        at: the property to blame, where the validator looks at a whole model.
        facts: the particulars, never the input itself.
    """
    known = {"reason": reason, **facts} if reason else facts
    return PydanticCustomError(_REFUSED, "refused", {"code": int(code), "at": (at,) if at else (), "facts": known})


class ContractModel(BaseModel):
    """A frozen model that takes snake_case and the block's PascalCase, and raises the block's exceptions."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_pascal,
        validate_by_alias=True,
        validate_by_name=True,
        # A password typed into the wrong field must not come back in an error text.
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as invalid:
            raise refusal(invalid) from None

    # pydantic then builds nested models without this constructor, so that one error lists the mistakes of all levels.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        _PROPERTIES.update(map(_as_the_block, cls.model_fields))

    def __str__(self) -> str:
        """Show what the repr shows: every model keeps personal data out of it."""
        return repr(self)

    @classmethod
    def accept(cls, data: object) -> Self:
        """Build the model from JSON-like data or take one that is built already.

        Raises:
            PostroomError: the block's exception for the first mistake, listing all of them.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as invalid:
            raise refusal(invalid) from None

    @classmethod
    def accept_json(cls, text: str | bytes) -> Self:
        """Build the model from JSON text."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as invalid:
            raise refusal(invalid) from None


def refusal(invalid: ValidationError) -> PostroomError:
    """The block's exception for the first mistake, with every mistake in its facts."""
    mistakes = [_mistake(error) for error in invalid.errors(include_url=False)]
    first = make_error(mistakes[0]["code"], mistakes[0]["facts"])
    listed = [_as_json(mistake) for mistake in mistakes]
    return type(first)(first.error_code, {**first.facts, "mistakes": listed})


def _mistake(error: Mapping[str, Any]) -> dict[str, Any]:
    context = error.get("ctx", {})
    where = _property((*error["loc"], *context.get("at", ())))
    if error["type"] == _REFUSED:
        return {"code": context["code"], "facts": {"property": where, **context["facts"]}}
    if error["type"] == "missing" or error.get("input") is None:
        return {"code": ErrorCode.NULL_PROPERTY, "facts": {"property": where}}
    if error["type"] in _OUT_OF_RANGE:
        ends = [f"The {word} is {context[limit]}." for limit, word in _ENDS.items() if limit in context]
        return {"code": ErrorCode.OUT_OF_RANGE, "facts": {"property": where, "detail": " ".join(ends)}}
    reason = _REASONS.get(error["type"], "wrong_type")
    detail = {"detail": hint} if (hint := _hint(error)) else {}
    return {"code": ErrorCode.INVALID_ARGUMENT, "facts": {"property": where, "reason": reason, **detail}}


def _hint(error: Mapping[str, Any]) -> str | None:
    """What a value should have been, or which property was meant."""
    if error["type"] != "extra_forbidden":
        expected = _EXPECTED.get(error["type"])
        return f"It should be {expected}." if expected else None
    name = _as_the_block(str(error["loc"][-1]))
    if name in _PROPERTIES:
        return "There is no such property here; it belongs elsewhere."
    meant = difflib.get_close_matches(name, sorted(_PROPERTIES), n=1, cutoff=_ALIKE)
    return f"There is no such property; {meant[0]} may be meant." if meant else None


def _property(location: tuple[int | str, ...]) -> str:
    """A mistake's place as the block writes it: `To[0].Address`."""
    written = ""
    for step in location:
        if isinstance(step, int):
            written += f"[{step}]"
        elif not _PROPERTY.fullmatch(step):
            if not step.startswith(TAG):
                break
        else:
            name = _as_the_block(step)
            written += f".{name}" if written else name
            if name == "Headers":
                break  # what follows is a header's own name: the same
    return written or "Input"


def _as_the_block(name: str) -> str:
    """A property's name in PascalCase, in whichever spelling it came."""
    return name if name[:1].isupper() else to_pascal(name).rstrip("_")


def _as_json(mistake: Mapping[str, Any]) -> Facts:
    error = make_error(mistake["code"], dict(mistake["facts"]))
    return {
        "property": mistake["facts"]["property"],
        "type": error.type,
        "error_code": error.error_code,
        "reason": error.reason,
        "message": str(error),
    }
