"""The check of a Redis server: is it there, does it keep what it is given, and does its clock agree with ours.

Owns the thresholds and the reading of INFO and CONFIG. Whether mail moves through it is `traffic`'s business. A managed
Redis may hide its settings, which is told and no failure. Called by the doctor, once for each server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import redis

from postroom_broker.connection import connect, translated, without_password
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode

if TYPE_CHECKING:
    from collections.abc import Callable

# The oldest server on which the scripts are tested.
LEAST_VERSION = (6, 2)
# A day's mail of a busy shop should fit into what is left.
NEARLY_FULL_PERCENT = 80
FULL_PERCENT = 100
# Within it, mail dated here and due there are the same to the second that people see.
MOST_CLOCK_SKEW_S = 2.0


def check_server(url: str, *, is_broker: bool = True, clock: Callable[[], float] = time.time) -> list[Finding]:
    """What is found at a Redis URL.

    Args:
        url: the server.
        is_broker: mail waits there, so that it must keep what it has; of a server of outcomes only that it answers.
        clock: this machine's time (s since 1970).
    """
    about = without_password(url)
    client = connect(url)
    try:
        with translated(client):
            return list(_examine(client, about, clock, is_broker=is_broker))
    except BrokerUnavailable as away:
        detail = str(away.facts.get("detail") or "").strip("()")
        refuses = isinstance(away.__cause__, redis.exceptions.ResponseError | redis.exceptions.AuthenticationError)
        code = FindingCode.REDIS_REFUSES if refuses else FindingCode.REDIS_AWAY
        return [Finding(code, about, {"detail": detail})]
    finally:
        client.close()


def _examine(client: redis.Redis, about: str, clock: Callable[[], float], *, is_broker: bool) -> Iterator[Finding]:
    client.ping()
    began_at, asked_at = time.monotonic(), clock()
    seconds, microseconds = client.time()
    taken_s = time.monotonic() - began_at
    info: Any = client.info()
    server = str(info.get("server_name") or "redis")
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    # What Valkey says it is compatible with; its own version counts on from there.
    compatible = str(info.get("redis_version") or "0")
    told: dict[str, str | float] = {"server": server, "version": version, "ms": round(taken_s * 1000, 1)}
    yield Finding(FindingCode.REDIS_ANSWERS, about, told)
    if _numbers(compatible) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        yield Finding(FindingCode.REDIS_OLD, about, {"version": version, "least": least})
    if info.get("role") == "slave":
        yield Finding(FindingCode.REDIS_READ_ONLY, about)
    if not is_broker:
        return
    # The server told its time about half-way between question and answer.
    skew_s = round(seconds + microseconds / 1e6 - asked_at - taken_s / 2, 1)
    # As long as the answer took, nobody can tell.
    is_right = abs(skew_s) <= MOST_CLOCK_SKEW_S + taken_s
    yield Finding(FindingCode.CLOCK_RIGHT if is_right else FindingCode.CLOCK_WRONG, about, {"seconds": abs(skew_s)})
    yield from _memory(info)
    yield from _persistence(client, info)


def _memory(info: Any) -> Iterator[Finding]:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    policy = str(info.get("maxmemory_policy", "unknown"))
    percent = int(100 * used / limit) if limit else 0
    if policy != "noeviction":
        yield Finding(FindingCode.REDIS_EVICTS if limit else FindingCode.REDIS_WOULD_EVICT, "", {"policy": policy})
    if percent >= FULL_PERCENT:
        yield Finding(FindingCode.REDIS_FULL, "", {"percent": percent})
    elif percent >= NEARLY_FULL_PERCENT:
        yield Finding(FindingCode.REDIS_NEARLY_FULL, "", {"percent": percent})
    elif policy == "noeviction":
        told = f"a limit of {_megabytes(limit)}" if limit else "no limit of its own"
        yield Finding(FindingCode.REDIS_HAS_ROOM, "", {"used": _megabytes(used), "limit": told})


def _persistence(client: redis.Redis, info: Any) -> Iterator[Finding]:
    if "err" in {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")}:
        yield Finding(FindingCode.REDIS_DISK_FAILS)
    try:
        settings: Any = {**client.config_get("save"), **client.config_get("appendfsync")}
    except redis.exceptions.ResponseError as hidden:
        yield Finding(FindingCode.REDIS_HIDES, "", {"detail": type(hidden).__name__})
        settings = {}
    if info.get("aof_enabled"):
        yield Finding(FindingCode.REDIS_KEEPS, "", {"fsync": settings.get("appendfsync", "unknown")})
    elif settings:
        yield Finding(FindingCode.REDIS_MAY_FORGET if settings["save"] else FindingCode.REDIS_FORGETS)


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.0f} MB"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
