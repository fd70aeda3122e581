"""`postroom dev`: all of Postroom on this machine, for whoever writes a program that sends mail.

`place` is the folder with keys and data, `inbox` takes the mail and `pages` shows it, `run` starts everything and stops it. Processes
are `postroom.local`'s.
"""
