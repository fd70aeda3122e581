"""Postroom on this machine, with nothing prepared: a broker, a worker and others, each a real process that ends with its parent.

The demo, `postroom dev` and users' end-to-end tests are made of it. Nothing here imports the worker's package.
"""
