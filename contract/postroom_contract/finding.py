"""A finding: one thing that a check has seen, as data that crosses processes and that people can read.

Owns its form, the ranks of severity, and its JSON. Which findings there are, and what each says, is the table in
`finding_codes`. Made by the checks of broker, worker and producer; `postroom doctor` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from postroom_contract.finding_codes import EXPLANATIONS, FindingCode, Severity

Fact = str | int | float


class _Facts(dict[str, Fact]):
    """What fills a sentence; a fact that nobody could tell must not stop the telling of the others."""

    def __missing__(self, name: str) -> str:
        return "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen. `about` names the thing: a session, a worker, a queue, a domain; never an address or a user."""

    code: FindingCode
    about: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return EXPLANATIONS[self.code].severity

    @property
    def what(self) -> str:
        """What was seen, in a sentence."""
        return EXPLANATIONS[self.code].what.format_map(_Facts(self.facts, about=self.about))

    @property
    def advice(self) -> str:
        """What to do about it; empty where there is nothing to do."""
        return EXPLANATIONS[self.code].advice.format_map(_Facts(self.facts, about=self.about))

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "about": self.about,
            "what": self.what,
            "advice": self.advice,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `as_dict` told, in another process of the same version."""
        return cls(FindingCode(told["code"]), told["about"], told["facts"])
