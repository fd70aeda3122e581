"""`postroom send`: hand one message over, and perhaps wait for its outcome.

Owns the order of its steps: read, check, queue, wait, print. The form of what it reads is `request`'s, and the sending
is done by a worker.
"""

import sys
from pathlib import Path

import click

from postroom.cli.asking import ask, wait_option
from postroom.cli.failure import CommandFailure, exit_code_for, explain
from postroom.cli.output import ExitCode, exit_code_of, print_line, story
from postroom.cli.request import DetailedRequest, NamedRequest, read_request
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException, BrokerUnavailable, PostroomError
from postroom_contract.outcome import State

HELP = """Queue the message in FILE (or, for -, from standard input) and print one line of JSON.

    \b
    FILE holds the message and the session to send it with:
      {"EmailMessage": {"To": [{"Address": "you@example.org"}],
                        "From": {"Address": "me@example.org"},
                        "Subject": "Hello", "Body": "Hello!"},
       "BasicEmailSessionDetails": {
         "ServerDetails": {"Host": "smtp.example.org", "Port": 465, "UseSsl": true},
         "Credentials": {"Username": "me", "Password": "<postroom encrypt>"}},
       "CloseSession": false}
    or "Session": "name" for one that POSTROOM_SESSIONS_FILE describes.

    \b
    Beside them may stand, each with null as good as absent:
      "SendAt": "2030-03-01T09:00:00+01:00"     not before this time
      "ExpiresAt": "2030-03-01T10:00:00+01:00"  not at this time or after it
      "OnUnknown": "resend" or "hold"           if the server never says whether it has it
      "IdempotencyKey": "order 17"              for a day, the same key sends nothing more
      "ReceiptId": "..."                        the id of a send whose answer was lost

    \b
    Example:
      postroom send message.json --wait 60

    Without --wait the exit code is 0 once the message is queued or scheduled; with it, the outcome's (see
    `postroom --help`).
"""


@click.command(short_help="Queue a message, and perhaps wait for its outcome.", help=HELP)
@click.argument("file", metavar="FILE|-")
@wait_option("Wait up to S seconds for the outcome; 75 is the exit code when it is still pending then.")
def send(file: str, wait_s: float | None) -> None:
    """Queue a message."""
    from postroom.mailer import Mailer  # noqa: PLC0415 -- brings in redis, which `--help` can do without

    with Mailer.from_env() as mailer:
        try:
            request = read_request(_read(file))
            receipt = mailer.send(request.email_message, request.session, **request.options)
        except BrokerUnavailable:
            raise
        except PostroomError as refused:
            print_line(story(State.REFUSED, None, error=refused))
            raise CommandFailure(f"refused: {explain(refused)}", exit_code_for(refused)) from refused
        if wait_s is None and not request.may_wait_or_repeat:
            print_line(story(State.QUEUED, receipt.id, message_id=_message_id(request, receipt.id)))
            return
        try:
            told = ask(receipt, wait_s or 0)
        except BrokerUnavailable as lost:
            known = f"The message was queued; ask for its outcome later with `postroom status {receipt.id}`."
            raise CommandFailure(f"{lost.message} {known}", ExitCode.BROKER_UNAVAILABLE) from lost
        except KeyboardInterrupt:
            known = f"the message is queued; ask for its outcome with `postroom status {receipt.id}`."
            raise CommandFailure(f"interrupted: {known}", ExitCode.INTERRUPTED) from None
    if told["message_id"] is None:
        told["message_id"] = _message_id(request, receipt.id)
    print_line(told)
    if wait_s is not None:
        raise SystemExit(exit_code_of(told))


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as unreadable:
        why = getattr(unreadable, "strerror", None) or "not a path"
        facts = {"property": "FILE", "reason": "unreadable", "detail": f"{file} cannot be read ({why})."}
        raise ArgumentException(ErrorCode.INVALID_ARGUMENT, facts) from unreadable


def _message_id(request: DetailedRequest | NamedRequest, delivery_id: str) -> str:
    from postroom_contract.delivery import Delivery  # noqa: PLC0415 -- as above

    # Only the id and the message make the Message-ID; a named session's details are not known here.
    return Delivery.model_construct(message=request.email_message, id=delivery_id).message_id  # type: ignore[call-arg]
