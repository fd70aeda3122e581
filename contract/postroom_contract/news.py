"""The news that a delivery has ended: what is told, and by which id a repetition is recognised.

Owns the three public facts (id, state, code) in the form in which hosts get them, and the check of what comes out of a queue
that others may write into. Where they are told is `destination`'s, how a request is signed `webhook_signature`'s.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any, Self

from postroom_contract.outcome import OUTCOMES, State

# Ours alone, so that no other use of the delivery's id makes the same; `ledger/lua/hand_on.lua` has its octets.
NAMESPACE = uuid.UUID("6ab191f7-000d-4633-9836-c6d4bb4c0dcb")


@dataclass(frozen=True, slots=True)
class News:
    """How one delivery has ended."""

    # The delivery's, as `receipt.id` has it.
    id: str
    # One of the six final ones.
    state: State
    # Of the error, as docs/errors.md has it; None where everybody was sent to.
    code: int | None = None

    @classmethod
    def read(cls, delivery_id: object, state: object, code: object) -> Self:
        """The news in values that came from somewhere else.

        Raises:
            ValueError: they are none.
        """
        if not isinstance(delivery_id, str) or str(uuid.UUID(delivery_id)) != delivery_id:
            raise ValueError("the id is no delivery's")
        if not isinstance(state, str) or state not in OUTCOMES:
            raise ValueError("the state is no final one")
        if code is not None and (not isinstance(code, int) or isinstance(code, bool)):
            raise ValueError("the code is no number")
        return cls(delivery_id, State(state), code)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The news in a webhook's body.

        Raises:
            ValueError: it is none.
        """
        told: Any = json.loads(text)
        if not isinstance(told, dict):
            raise ValueError("the body is no object")  # noqa: TRY004 -- one error for all that a body can be
        return cls.read(told.get("id"), told.get("state"), told.get("code"))

    @property
    def task_id(self) -> str:
        """The same however often it is told: the id of the task that tells it, of the host's task, and of the webhook."""
        return str(uuid.uuid5(NAMESPACE, self.id))

    @property
    def arguments(self) -> list[str | int | None]:
        """The first arguments of the task that tells it."""
        return [self.id, self.state.value, self.code]

    def as_dict(self) -> dict[str, str | int | None]:
        """What a host's task gets as keywords, and a webhook as JSON."""
        return {"id": self.id, "state": self.state.value, "code": self.code}
