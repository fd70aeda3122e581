"""The worker's entry point: `python -m postroom_worker`, which `postroom worker` starts.

Owns the worker's command line: the few options an operator turns, and the rest of Celery's set right. `celery -A
postroom_worker worker` does the same with Celery's own options.
"""

from __future__ import annotations

import click

from postroom_contract.errors import SettingsException
from postroom_worker.app import app_from_env, refuse_start
from postroom_worker.desk import worker_settings


@click.command(name="postroom worker", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, 5000), help="Sends in flight at once (POSTROOM_CONCURRENCY)."
)
@click.option(
    "-n",
    "--name",
    default="postroom@%h",
    show_default=True,
    help="Its name in Flower; of two workers on one machine each needs its own.",
)
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
def main(concurrency: int | None, name: str, loglevel: str) -> None:
    """Send the mail that is waiting in Redis, until told to stop (SIGTERM lets sends in flight finish)."""
    try:
        settings = worker_settings()
        app = app_from_env()
    except SettingsException as wrong:
        refuse_start(wrong)
    if concurrency:
        app.conf.worker_concurrency = concurrency
    # Gossip and mingle make every worker listen to every other one, and Postroom uses neither.
    options = ["--without-gossip", "--without-mingle", "--hostname", name, "--loglevel", loglevel]
    # Celery's banner is for a person, and a machine that reads JSON would stumble over it.
    quiet = ["--quiet"] if settings.log_format == "json" else []
    app.worker_main([*quiet, "worker", *options])


if __name__ == "__main__":
    main()
