"""The doctor: looks at settings, Redis, workers, queues, mail servers and DNS records, and says what to mend.

`examination` runs the checks side by side. Those of Redis are the broker's, those of mail servers the worker's, in a process
of its own; here are the ones of this side's settings. `postroom doctor` prints what they find.
"""
