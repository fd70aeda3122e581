"""What a program that asks for mail and a worker that sends it must agree on.

Messages, session details, errors, outcomes, sealing and names live here. Nothing in this package talks to Celery, Redis
or SMTP, and it imports none of the other three packages. The producer, the broker and the worker all import it.
"""
