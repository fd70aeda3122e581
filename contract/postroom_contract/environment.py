"""Settings read from the environment, the same way on both sides.

Owns the reading of `POSTROOM_*` variables and of their `..._FILE` twins (for container secrets), and the collecting of
every mistake before one error is raised. Which settings exist is each side's own business (`settings` modules).
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SettingsException
from postroom_contract.sealing import Keyring
from postroom_contract.setting_names import slips

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Environment:
    """Reads variables and remembers every mistake, so that a wrong start lists them all at once."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.mistakes: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """The variable, or the content of the file that `<name>_FILE` names, or the default."""
        value = self._variables.get(name, "")
        path = self._variables.get(f"{name}_FILE", "")
        if value and path:
            self.mistakes.append(f"{name} and {name}_FILE are both set; keep one")
        if path and not value:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
                if not value:
                    self.mistakes.append(f"{name}_FILE names an empty file")
            except (OSError, UnicodeDecodeError) as unreadable:
                # Not which: a key that was set in the place of a path would be shown.
                self.mistakes.append(f"{name}_FILE cannot be read ({type(unreadable).__name__})")
        return value or default

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """A number within its range."""
        text = self.text(name)
        try:
            value = float(text) if text else default
        except ValueError:
            self.mistakes.append(f"{name} is not a number")
            return default
        if not least <= value <= most:
            self.mistakes.append(f"{name} is not between {least:g} and {most:g}")
            return default
        return value

    def count(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within its range."""
        value = self.number(name, default, least=least, most=most)
        if value != int(value):
            self.mistakes.append(f"{name} is not a whole number")
        return int(value)

    def keyring(self, name: str) -> Keyring | None:
        """A key ring; a missing or malformed one is a mistake."""
        told = len(self.mistakes)
        text = self.text(name)
        if not text:
            if len(self.mistakes) == told:
                self.mistakes.append(
                    f"{name} (or {name}_FILE) is not set: give this program the ring that the workers have; `postroom "
                    "keygen` prints the first key of a new one"
                )
            return None
        return self.checked(lambda: Keyring.parse(text), name)

    def checked(self, read: Callable[[], T], name: str) -> T | None:
        """What `read` returns; its settings error becomes one of the mistakes."""
        try:
            return read()
        except SettingsException as wrong:
            self.mistakes.append(f"{name}: {wrong.facts.get('detail')}")
            return None

    def refuse_mistakes(self) -> None:
        """Raise one error that lists every mistake found so far; without one, warn of names that are nearly settings.

        Raises:
            SettingsException: there was at least one.
        """
        told = [f"{name} is no setting; {meant} may be meant" for name, meant in slips(self._variables)]
        if self.mistakes:
            mistakes = [*self.mistakes, *told]
            facts = {"detail": mistakes[0], "mistakes": [{"message": mistake} for mistake in mistakes]}
            raise SettingsException(ErrorCode.BAD_SETTINGS, facts)
        # Not refused: other programs may have variables of such names, and what is set may have its default anyway.
        for slip in told:
            # By this line, so that a program that reads its settings in several places is told once.
            warnings.warn(slip, stacklevel=1)


def unreadable_file(name: str, path: str, error: Exception) -> str:
    """What is told of a file that a setting names and that cannot be read; for settings that are no secret's twins."""
    return f"{name} names {path}, which cannot be read ({type(error).__name__})"


def read_keyring(name: str, variables: Mapping[str, str] | None = None) -> Keyring:
    """The ring that a variable (or its `_FILE` twin) holds.

    Raises:
        SettingsException: it is not set, or not a key ring.
    """
    environment = Environment(variables)
    ring = environment.keyring(name)
    environment.refuse_mistakes()
    if ring is None:  # pragma: no cover -- a missing ring is a mistake and was refused above
        raise SettingsException
    return ring
