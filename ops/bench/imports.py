"""What `import postroom` costs a process, beside the imports that doing the same by hand would need.

Starts new interpreters in turn, so that a busy machine slows all of them alike, and prints the medians and their ratio:
`python ops/bench/imports.py [rounds]`. Compare ratios, never milliseconds of two machines.
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 15

CANDIDATES = {
    "nothing": "pass",
    "postroom": "import postroom",
    "postroom, and a mailer": "import postroom; postroom.Mailer",
    "celery, redis, pydantic, cryptography": (
        "import celery; celery.Celery; import redis; from pydantic import BaseModel;"
        " from cryptography.hazmat.primitives.ciphers.aead import AESGCM"
    ),
}
BY_HAND = "celery, redis, pydantic, cryptography"


def time_once(code: str) -> float:
    """Milliseconds that a new interpreter takes to run some code."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Measure, interleaved, and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    times: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for code in CANDIDATES.values():
        time_once(code)  # fills the byte code caches
    for _ in range(rounds):
        for name, code in CANDIDATES.items():
            times[name].append(time_once(code))
    start = statistics.median(times["nothing"])
    cost = {name: statistics.median(taken) - start for name, taken in times.items() if name != "nothing"}
    print(f"median of {rounds} interleaved runs, less the {start:.0f} ms of an interpreter that does nothing")
    for name, cost_ms in cost.items():
        print(f"{cost_ms:8.0f} ms  {cost_ms / cost[BY_HAND]:5.2f}  {name}")


if __name__ == "__main__":
    main()
