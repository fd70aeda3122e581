"""Postroom inside Django: `EMAIL_BACKEND = "postroom.django.EmailBackend"`, and `send_mail` queues.

Names what an application uses, and owns nothing. Nothing of Django is imported by `postroom` itself; the backend, its settings
and the management command live in the modules beside this one. See docs/web.md.
"""

from postroom.django.backend import EmailBackend, ImmediateEmailBackend
from postroom.django.mailer import get_mailer, use_mailer

__all__ = ["EmailBackend", "ImmediateEmailBackend", "get_mailer", "use_mailer"]
