"""What a host application says of Postroom in its own configuration, put over the environment.

Owns the rule which of the two counts: a setting of the host (Django's settings, Flask's config) bears the variable's name and
wins over it. What the settings mean is `settings`' business; the web adapters call this and read nothing else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The variables that `ProducerSettings` reads and a host may set; each may be a file's path, as `..._FILE`, too.
_FILE = "_FILE"
_NAMES = (
    "POSTROOM_BROKER_URL",
    "POSTROOM_RESULT_URL",
    "POSTROOM_KEYS",
    "POSTROOM_SESSIONS_FILE",
    "POSTROOM_ON_OUTCOME",
)
VARIABLES = frozenset(name + ending for name in _NAMES for ending in ("", _FILE))


def over_environment(configured: Mapping[str, object]) -> dict[str, str]:
    """The environment, with what the host has configured in its place.

    Args:
        configured: the host's settings; those that are not Postroom's, and those that are None, are left out.
    """
    own = {name: str(value) for name, value in configured.items() if name in VARIABLES and value is not None}
    # A key ring in the host's settings replaces one that the environment names a file for.
    replaced = {*own, *(_twin(name) for name in own)}
    return {name: value for name, value in os.environ.items() if name not in replaced} | own


def _twin(name: str) -> str:
    """The other way to give the same setting."""
    return name + _FILE if name + _FILE in VARIABLES else name.removesuffix(_FILE)
