"""What gunicorn starts: `gunicorn --preload --workers 2 shop.wsgi`. Nothing of the shop is in here."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
