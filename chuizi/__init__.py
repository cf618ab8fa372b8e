"""The project: settings, routes and entry points."""

from chuizi.celery import app as celery_app

__all__ = ["celery_app"]
