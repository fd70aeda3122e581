"""The lines of the worker's log that the terminal shows."""

from __future__ import annotations

from pathlib import Path

from postroom.dev.troubles import Troubles

INFO = "[2026-11-25 10:00:00,000: INFO/MainProcess] "


def test_what_was_not_sent_is_shown_once(tmp_path: Path) -> None:
    """Failures, retries and untold ends; not what was sent, and no line of others."""
    log = tmp_path / "worker.log"
    log.write_text(
        f"{INFO}postroom@here ready.\n"
        f"{INFO}delivery a is sent: accepted=1\n"
        f"{INFO}delivery b is failed: code=1301 smtp_code=550\n"
        f"{INFO}delivery c is retrying: code=1200 after_s=1.000\n"
        f"{INFO}news of delivery a is told: status=204\n"
        f"{INFO}news of delivery b is put_off: reason=ConnectError\n"
    )
    troubles = Troubles(log)

    assert list(troubles.new()) == [
        "delivery b is failed: code=1301 smtp_code=550",
        "delivery c is retrying: code=1200 after_s=1.000",
        "news of delivery b is put_off: reason=ConnectError",
    ]
    assert list(troubles.new()) == []


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    """Nothing is shown in halves, and nothing twice."""
    log = tmp_path / "worker.log"
    log.write_text(f"{INFO}delivery b is fai")
    troubles = Troubles(log)
    assert list(troubles.new()) == []
    with log.open("a") as more:
        more.write("led: code=1301\n")

    assert list(troubles.new()) == ["delivery b is failed: code=1301"]
