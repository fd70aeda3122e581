"""Telling a host that a delivery has ended: its own Celery task, or a webhook, is called with id, state and code.

`teller` takes the steps, `judgement` decides what an answer means, `webhook` and `host_tasks` call. News reach this room as
tasks of a queue of their own, written by the ledger in the same step as the end (`postroom_worker.telling`).
"""
