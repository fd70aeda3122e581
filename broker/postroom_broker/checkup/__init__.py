"""What can be found out about Redis and the queue from outside, for `postroom doctor`.

Each check asks and returns findings; none changes anything. What they say and how much it matters is the contract's table.
"""
