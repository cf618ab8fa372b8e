"""The project: settings, routes and entry points."""

from chuizi import memory

memory.look_rarely()  # before Celery and Django are loaded

from chuizi.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
