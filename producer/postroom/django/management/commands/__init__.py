"""The management commands, one in each module. Django finds them by their file names when `postroom.django` is installed."""
