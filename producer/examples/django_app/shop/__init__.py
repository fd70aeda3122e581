"""A Django project with one view that sends mail. `settings` has the few lines that make Postroom its mail backend."""
