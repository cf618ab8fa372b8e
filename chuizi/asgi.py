"""The one ASGI application: an exact table of gateway paths goes to the raw gateway, the rest is Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
