"""Recurring mail: entries of a schedule file, each sent once at every of its times, by Celery's beat.

`slots` and `crontab` say when, `template` what, `entry` puts both together, `schedule_file` reads them, `agenda` sends what is
due, and `scheduler` is what Celery calls. Nothing here sends over SMTP or knows a password: it queues, as an application does.
"""
