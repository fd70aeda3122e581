"""What can be found out about mail servers and senders' domains without sending anything, for `postroom doctor`.

It is run as a process of its own (`python -m postroom_worker.checkup`), because the producer, where the command lives, never
imports the worker. What the findings say is the contract's table.
"""
