"""`chuizi.asgi`, with three seconds for PostgreSQL's answer to what a request cost instead of fifteen."""

import django

django.setup()

from proxy.settlement import metering  # noqa: E402

metering.ANSWER_SECONDS = 3.0

from chuizi.asgi import application  # noqa: E402

__all__ = ["application"]
