"""The demo's report as a person reads it: a table, and under it who carried what.

Owns the words and the columns. Numbers and judgements come from `row`.
"""

from postroom.demo.arrival import Copy
from postroom.demo.row import Report, Row, ServerSummary

HEADINGS = ("", "asked", "arrived (the server's own copy)", "outcome", "time")


def render(report: Report) -> str:
    """The whole report."""
    lines = [HEADINGS, *(_columns(row) for row in report.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    table.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*table, "", *(_sum_up(server) for server in report.servers), _conclude(report)])


def _columns(row: Row) -> tuple[str, ...]:
    arrived = "; ".join(_describe(copy) for copy in row.copies) or "nothing"
    return ("!!" if row.mistakes else "ok", row.example.name, arrived, _outcome(row), f"{row.seconds:.2f} s")


def _describe(copy: Copy) -> str:
    hidden = f" ({len(copy.hidden)} hidden)" if copy.hidden else ""
    content_type, _ = copy.body
    parts = [_count(len(copy.record.recipients), "recipient") + hidden, content_type]
    parts += [copy.priority] if copy.priority else []
    parts += [f"{len(copy.unchanged_files)} of {_count(len(copy.files), 'file')} unchanged"] if copy.files else []
    return ", ".join(parts)


def _outcome(row: Row) -> str:
    error = row.told["error"]
    if error is None:
        return str(row.told["state"])
    tried = f", {row.told['attempts']} attempts" if (row.told["attempts"] or 0) > 1 else ""
    return f"{row.told['state']}: {error['type']} {error['error_code']}{tried}"


def _sum_up(server: ServerSummary) -> str:
    carried = f"{_count(server.messages, 'message')} over {_count(server.connections, 'connection')}"
    refused = f", {_count(server.refused_logins, 'refused login')}" if server.refused_logins else ""
    return f"{server.place} {server.port}: {carried}, {_count(server.logins, 'login')}{refused}"


def _conclude(report: Report) -> str:
    if report.mistakes:
        return "\n".join(["Not as expected:", *(f"- {mistake}" for mistake in report.mistakes)])
    return f"All {len(report.rows)} came out as they should, in {report.seconds:.1f} s."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
