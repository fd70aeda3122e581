"""The package's surface: its names, and what importing it costs a web process."""

import json
import subprocess
import sys

import pytest

import postroom

PROMISED = [
    "Mailer",
    "Receipt",
    "EmailMessage",
    "EmailAddress",
    "EmailMessagePriority",
    "EmailMessageBodyFormat",
    "Attachment",
    "BasicEmailSessionDetails",
    "ServerDetails",
    "UserCredentials",
    "Anonymous",
    "EncryptedText",
    "Keyring",
    "Sent",
    "Partial",
    "Failed",
    "Unknown",
    "Cancelled",
    "Expired",
]

BUILD_A_MESSAGE = """
message = postroom.EmailMessage.accept({"To": ["ü@münchen.de"], "From": "a@example.com", "Attachments": ["/a"]})
postroom.BasicEmailSessionDetails.accept({"ServerDetails": {"Host": "h", "Port": 25}, "Credentials": {"Anonymous": True}})
repr(message), message.recipients, message.model_dump_json()
"""


def imported_by(code: str) -> set[str]:
    """The modules that a new interpreter has after running some code."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def roots(modules: set[str]) -> set[str]:
    """Their top-level packages."""
    return {module.partition(".")[0] for module in modules}


def test_all_promised_names_are_there() -> None:
    """Each public name can be imported, the late ones too."""
    assert set(PROMISED) <= set(postroom.__all__)
    assert all(getattr(postroom, name) for name in postroom.__all__)
    assert sorted(postroom.__all__) == postroom.__all__


def test_other_names_are_refused_as_usual() -> None:
    """A typing error is an AttributeError."""
    with pytest.raises(AttributeError, match="'postroom' has no attribute 'Nonsense'"):
        _ = postroom.Nonsense


def test_importing_brings_no_client_and_no_worker() -> None:
    """`import postroom` loads neither Celery nor Redis nor SMTP; of kombu only its JSON."""
    modules = imported_by("import postroom")

    assert not roots(modules) & {"celery", "redis", "hiredis", "aiosmtplib", "postroom_worker", "trustme", "asyncio"}
    kombu = {name for name in modules if name.startswith("kombu.") and not name.startswith("kombu.utils")}
    assert kombu <= {"kombu.exceptions"}


def test_building_a_message_brings_neither_celery_nor_redis() -> None:
    """A process that only makes messages pays for nothing else."""
    assert not roots(imported_by(f"import postroom\n{BUILD_A_MESSAGE}")) & {"celery", "redis", "hiredis", "asyncio"}


def test_a_mailer_brings_redis_but_no_celery() -> None:
    """Publishing is done by hand: a web process needs no Celery for it."""
    modules = roots(imported_by("import postroom; postroom.Mailer"))

    assert "redis" in modules
    assert not modules & {"celery", "aiosmtplib", "postroom_worker"}
