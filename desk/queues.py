"""Filters of lists by what waits for somebody."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy


class Queue(admin.SimpleListFilter):
    """Each of `CHOICES` is a value of the address's `queue`, its title, and what it leaves of the rows."""

    title = gettext_lazy("queue")
    parameter_name = "queue"
    CHOICES: ClassVar[tuple[tuple[str, Any, Callable[[Any], Any]], ...]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(value, title) for value, title, _narrow in self.CHOICES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return next((narrow(queryset) for value, _title, narrow in self.CHOICES if value == chosen), queryset)
