"""The ledger: one record in Redis for each delivery, by which nothing is sent twice unknowingly.

`orders` takes deliveries in, calls them back and tells where they are; the producer uses it. `claims` fences the workers
off from each other, notes when a message is committed, and writes down how attempts end. Both know ids, states and sealed
texts, nothing of mail.
"""
