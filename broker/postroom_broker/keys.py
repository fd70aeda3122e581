"""The names of what the queue keeps in Redis, for all who reach into it.

Owns the keys that the transport, the ledger and the operators' commands share. The transport takes each as a default that a
channel option can change; the ledger and the commands go by these names.
"""

from __future__ import annotations

# Messages that a worker holds, by their lease (hash), and when each lease was last renewed (sorted set). Stock names.
UNACKED = "unacked"
UNACKED_INDEX = "unacked_index"
# Ids by the time they are due (sorted set); what waits for an operator's word (sorted set, by when it was held); and the
# messages of both by id (hash): each the name of its queue, a newline, the task message.
DELAYED = "postroom.delayed"
HELD = "postroom.held"
DELAYED_MESSAGES = "postroom.delayed.messages"
# What each living worker tells of itself, by a name that it makes up when it starts (hash, with an expiry).
WORKERS = "postroom.workers"
# Which beats live, by when they last ticked (sorted set, with an expiry), and up to when each entry of their schedule is done
# (hash of times by the entry's name, with an expiry).
BEATS = "postroom.beats"
BEAT_MARKS = "postroom.beats.marks"
# JSON objects: a dead letter with the reason of its death (list).
DEAD = "postroom.dead"
