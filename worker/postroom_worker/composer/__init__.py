"""From a delivery to the bytes of its mail: RFC 5322 headers and MIME parts in the few shapes that mail programs know.

The standard `email` generator is not used: on the Python versions we support it can be made to write header lines that
nobody asked for, and it takes many times longer. `delivery` calls `compose`; sockets, SMTP's dot-stuffing and the file
system must not live here.
"""

from postroom_worker.composer.composition import compose

__all__ = ["compose"]
