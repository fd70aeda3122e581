"""What sends: the Celery worker, the composer, the SMTP sessions and the verdicts on what servers reply.

It is installed by `postroom[worker]`. Nothing here is imported by an application; the producer starts it as a process of
its own. `celery -A postroom_worker worker` (or `flower`, `beat`) finds the app under the name `celery`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postroom_worker.app import PostroomCelery

    celery: PostroomCelery


def __getattr__(name: str) -> Any:
    """Make the app when Celery's command line asks for it; importing a part of the worker needs no environment."""
    if name == "celery":
        from postroom_contract.errors import SettingsException  # noqa: PLC0415
        from postroom_worker.app import app_from_env, refuse_start  # noqa: PLC0415
        from postroom_worker.flower import guard, is_flower  # noqa: PLC0415

        try:
            guard(sys.argv, os.environ)
            app = globals()[name] = app_from_env()
        except SettingsException as wrong:
            refuse_start(wrong)  # Celery would show a traceback
        if is_flower(sys.argv):
            app.set_default()  # Flower looks for results in whichever app is the current one
        return globals()[name]
    raise AttributeError(f"module 'postroom_worker' has no attribute {name!r}")
