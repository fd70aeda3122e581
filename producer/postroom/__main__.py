"""Lets `python -m postroom` stand for the `postroom` command, where no script folder is on PATH.

Holds nothing of its own. The command is `postroom.cli`.
"""

from postroom.cli import main

if __name__ == "__main__":
    main(prog_name="postroom")
