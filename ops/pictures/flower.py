"""Takes the pictures of Flower that the documentation shows: `make pictures`.

They are taken of a real system on which every kind of mail was just sent (tests/support/flower.py), in a real browser. Needs
Chromium and the Node packages of `make node`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from postroom.testing import CertificateKit  # noqa: E402 -- after the path is set
from tests.support.browser import Look, chromium, look_at  # noqa: E402
from tests.support.flower import PASSWORD, USER, watched_system  # noqa: E402
from tests.support.valkey import ValkeyServer, find_server  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
# Fits the tasks of the run, and what is told of each.
SIZE = (1660, 880)


def main() -> None:
    """Take them."""
    program = find_server()
    if chromium() is None or program is None:
        sys.exit("Needs Chromium (Debian: apt-get install chromium), `make node`, and a Valkey or Redis server.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            ValkeyServer(program, folder) as redis,
            watched_system(redis.url, folder, CertificateKit(folder)) as watched,
        ):
            watched.make_traffic()
            failure = watched.receipts["wrong password"].id
            pages = [
                Look(
                    f"{watched.url}/tasks",
                    f"#tasks-table tbody tr:has-text('{failure}')",
                    PICTURES / "flower-tasks.png",
                ),
                Look(
                    f"{watched.url}/workers",
                    "#workers-table tbody tr:has-text('postroom@')",
                    PICTURES / "flower-workers.png",
                ),
                Look(f"{watched.url}/task/{failure}", "main", PICTURES / "flower-failure.png"),
            ]
            look_at(pages, auth=(USER, PASSWORD), size=SIZE)
    for page in pages:
        assert page.picture is not None
        print(f"{page.picture.relative_to(ROOT)}  {page.picture.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
