"""What a run tells: the figures as JSON and as lines for a person, and whether they are good enough.

Owns the names of the figures and the limits that decide the exit code. What they are is found out by `judge` and `run`.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.judge import UNREAD, Judgement
from tests.chaos.news import Hearing

# So many of each kind of wrong are shown one by one; the figures have all.
MOST_SHOWN = 20

Figures = dict[str, Any]


def figures_of(judgement: Judgement) -> Figures:
    """The judge's part of the report."""
    return {
        "receipts": judgement.receipts,
        "enqueues_refused": judgement.refused + judgement.maybe,
        "enqueues_maybe": judgement.maybe,
        "enqueues_maybe_sent": judgement.maybe_sent,
        "accepted_messages": judgement.accepted_messages,
        "accepted_distinct": judgement.accepted_distinct,
        "lost": len(judgement.lost),
        "duplicated": len(judgement.duplicated),
        "duplicated_without_flag": len(judgement.duplicated_without_flag),
        "flagged": len(judgement.flagged),
        "flagged_without_cause": len(judgement.flagged_without_cause),
        # The rest is explained by a reply that its worker did not live to act upon: to the worker, it was open still.
        "flagged_unread": sum(shown == UNREAD for shown in judgement.flagged_without_cause.values()),
        "flagged_without_cause_by_log": dict(Counter(judgement.flagged_without_cause.values())),
        "open_after_last_byte": judgement.open_after_last_byte,
        "open_at_workers_end": judgement.open_at_workers_end,
        "contradictions": len(judgement.contradictions),
        "unfinished": len(judgement.unfinished),
        "spent_budgets": judgement.spent_budgets,
        "outcomes": dict(sorted(judgement.outcomes.items())),
        "examples": {
            "lost": judgement.lost[:MOST_SHOWN],
            "duplicated_without_flag": [number for number, _ in judgement.duplicated_without_flag[:MOST_SHOWN]],
            "contradictions": judgement.contradictions[:MOST_SHOWN],
            "unfinished": judgement.unfinished[:MOST_SHOWN],
            "flagged_without_cause": list(judgement.flagged_without_cause)[:MOST_SHOWN],
        },
    }


def news_figures(hearing: Hearing) -> Figures:
    """What a host was told of ends."""
    return {
        "news_wanted": hearing.wanted,
        "news_heard": hearing.heard,
        "news_repeated": hearing.repeated,
        "news_untold": len(hearing.untold),
        "news_contradictions": len(hearing.contradictions),
        "news_strange": hearing.strange,
        "news_examples": [*hearing.untold, *hearing.contradictions][:MOST_SHOWN],
    }


def recovery_figures(seconds: Sequence[float]) -> Figures:
    """How long mail of killed workers waited."""
    if not seconds:
        return {"kills_with_mail": 0}
    return {
        "kills_with_mail": len(seconds),
        "median_s": round(statistics.median(seconds), 1),
        "longest_s": round(max(seconds), 1),
        "each_s": [round(each, 1) for each in seconds],
    }


def wrongs(figures: Figures) -> list[str]:
    """What must not be: any of these makes the exit code 1."""
    wrong = [
        f"{figures[name]} {name.replace('_', ' ')}"
        for name in (
            "lost",
            "duplicated_without_flag",
            "contradictions",
            "unfinished",
            "workers_deserted",
            "workers_stubborn",
            "news_untold",
            "news_contradictions",
            "news_strange",
        )
        if figures.get(name)
    ]
    if figures["recorder_complaints"]:
        wrong.append("the recorder itself failed")
    wrong += figures.get("promises_broken", [])
    # A worker can die between telling that it is about to hand over the last bytes and handing them over; but no oftener
    # than workers died a moment later.
    causeless = figures["flagged_without_cause"] - figures["flagged_unread"]
    if causeless > figures["open_at_workers_end"]:
        wrong.append(
            f"{causeless} flagged without cause, more than the {figures['open_at_workers_end']} transactions that were "
            "open after their last byte when their worker ended"
        )
    return wrong


def show(figures: Figures) -> str:
    """The figures for a person."""
    lines = [f"  {name:<28} {_short(value)}" for name, value in figures.items() if name != "examples"]
    return "\n".join(lines)


def beside(ours: Figures, stock: Figures) -> str:
    """What became of the same storm on both sides; nothing where it was another one."""
    if any(ours.get(name) != stock.get(name) for name in ("seed", "mails")):
        return ""
    names = ("receipts", "accepted_distinct", "lost", "duplicated", "duplicated_without_flag", "unfinished")
    lines = [f"  {name:<28} {ours[name]:>8} {stock[name]:>8}" for name in names]
    return "\n".join([f"  {'':<28} {'postroom':>8} {'stock':>8}", *lines])


def _short(value: Any) -> str:
    if isinstance(value, dict):
        shown = {name: each for name, each in value.items() if not isinstance(each, list)}
        return ", ".join(f"{name}: {each}" for name, each in shown.items()) or "-"
    return str(value)


def write(figures: Figures, path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
