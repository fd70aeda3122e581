"""The chaos harness: thousands of mails, a storm of faults that a seed decides, and a judge. `make chaos SEED=N` runs it.

It is a black box around what an operator and an application see: `postroom.Mailer`, receipts, worker processes, a Redis
server with an append-only file, an SMTP server that writes everything down. Of Postroom's inside it knows the lease time
and the names of the queues, to see when nothing waits any more.
"""
