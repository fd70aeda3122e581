"""What the demo's SMTP servers have seen: every copy of a message, and who carried how much.

Owns the reading of the servers' records, after the worker has gone. Comparing a copy with what was asked is `arrival`'s
business.
"""

from postroom.demo.arrival import Copy
from postroom.demo.examples import Place
from postroom.demo.row import ServerSummary
from postroom.demo.stage import Stage
from postroom.testing.smtp_server import SmtpServer


def read_copies(stage: Stage) -> list[Copy]:
    """Every message that any of the servers has accepted."""
    return [copy for place, server in stage.servers.items() for copy in _copies_at(place, server)]


def sum_up(stage: Stage) -> list[ServerSummary]:
    """How much each server had to do."""
    return [_summary_of(place, server) for place, server in stage.servers.items()]


def _copies_at(place: Place, server: SmtpServer) -> list[Copy]:
    tls_versions = {connection.id: connection.tls_version for connection in server.connections}
    return [Copy(place, record.connection_id, tls_versions[record.connection_id], record) for record in server.messages]


def _summary_of(place: Place, server: SmtpServer) -> ServerSummary:
    carriers = {record.connection_id for record in server.messages}
    attempts = [attempt for connection in server.connections for attempt in connection.auth_attempts]
    endings = [connection.ending for connection in server.connections if connection.id in carriers]
    return ServerSummary(
        place=place,
        port=server.port,
        messages=len(server.messages),
        connections=len(carriers),
        logins=sum(attempt.has_succeeded for attempt in attempts),
        refused_logins=sum(not attempt.has_succeeded for attempt in attempts),
        quits=endings.count("quit"),
    )
