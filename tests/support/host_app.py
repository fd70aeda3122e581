"""A host's own Celery application, with a task that is told of ends: it knows nothing of Postroom."""

from __future__ import annotations

import json
import os
from pathlib import Path

from celery import Celery

app = Celery("host", broker=os.environ.get("HOST_BROKER_URL", "memory://"), set_as_current=False)
app.conf.task_default_queue = "host"


@app.task(name="shop.tasks.mail_ended", bind=True)
def mail_ended(self: object, *, id: str, state: str, code: int | None) -> None:  # noqa: A002 -- the names that are promised
    """Write down what is told."""
    told = {"id": id, "state": state, "code": code, "task_id": self.request.id}  # type: ignore[attr-defined]
    with Path(os.environ["HOST_NOTEBOOK"]).open("a", encoding="utf-8") as notebook:
        notebook.write(json.dumps(told) + "\n")
