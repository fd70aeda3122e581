"""The demo: real mail from this process through Redis and a worker process to SMTP servers, on this machine alone.

`show.run` is its whole surface; `postroom demo` calls it. Nothing is faked: broker, worker and servers are the real
ones, and what is told of a message's arrival is read from the server's own copy. Needs the `dev` extra.
"""
