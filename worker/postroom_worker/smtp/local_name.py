"""What we call ourselves in EHLO (RFC 5321 section 4.1.1.1).

Owns the choice and its check. The resolver is never asked (`socket.getfqdn` may take seconds and tells the name of a
developer's laptop to every server): a configured name, else the machine's own if it is fully qualified, else the
address literal of the connection.
"""

from __future__ import annotations

import ipaddress
import socket

from postroom_contract.address import to_wire


def check_local_name(name: str) -> str:
    """Return a configured name if it may stand in EHLO: a domain or an address literal.

    Raises:
        ValueError: it may not; a space or a line end in it would add to the command.
    """
    wire = to_wire(f"postmaster@{name}")
    if wire is None:
        raise ValueError("the local host name is neither a domain nor an address literal")
    return wire.partition("@")[2]


def machine_name() -> str | None:
    """Return this machine's name if it is a fully qualified domain."""
    name = socket.gethostname().rstrip(".")
    if "." not in name or not name.isascii() or name.endswith((".localdomain", ".local")):
        return None
    try:
        return check_local_name(name)
    except ValueError:
        return None


def address_literal(address: str) -> str:
    """Return the literal of a connection's own address (section 4.1.3), which is what a host without a name says."""
    number = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{number}]" if number.version == 6 else f"[{number}]"  # noqa: PLR2004 -- the Internet Protocol
