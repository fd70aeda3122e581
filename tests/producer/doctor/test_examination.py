"""All checks together: each is made of what could be read, and the worst finding stands last."""

from __future__ import annotations

from postroom.doctor.examination import examine
from postroom.doctor.worker_side import Wishes
from postroom.testing import free_port
from postroom_contract.sealing import generate_key


def codes(**variables: str) -> list[str]:
    """What is found on a producer's side without sessions."""
    return [finding.code for finding in examine("producer", None, Wishes(), variables)]


def test_worst_stands_last(redis_url: str) -> None:
    """In order, then notes, warnings and errors."""
    found = examine("producer", None, Wishes(), {"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": generate_key()})
    ranks = [finding.severity.rank for finding in found]

    assert ranks == sorted(ranks)
    assert found[-1].code == "workers_none"


def test_redis_that_is_away_is_told_once() -> None:
    """Its queues are not asked for."""
    away = f"redis://127.0.0.1:{free_port()}/0"

    assert codes(POSTROOM_BROKER_URL=away, POSTROOM_KEYS=generate_key())[-1] == "redis_away"
    assert codes(POSTROOM_BROKER_URL=away).count("redis_away") == 1


def test_wrong_url_leaves_the_other_checks() -> None:
    """Nothing is connected to."""
    assert codes(POSTROOM_BROKER_URL="http://x") == ["sessions_none", "settings_wrong", "keys_missing"]


def test_results_elsewhere_are_checked_too(redis_url: str) -> None:
    """Both servers are named."""
    elsewhere = redis_url.removesuffix("/0") + "/1"
    found = codes(POSTROOM_BROKER_URL=redis_url, POSTROOM_RESULT_URL=elsewhere, POSTROOM_KEYS=generate_key())

    assert found.count("redis_answers") == 2
