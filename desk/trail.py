"""What staff do at their desk is written down: who, what, before and after, why, from where.

Every act at the desk ends in a `LogEntry`: Django's own forms write one, and so does `record` for our buttons. Its
signal writes the `StaffAction`, in the same transaction; the middleware here tells it from which request, and signals
of every saved row what was there before. So nothing of the admin can leave the audit out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.models import Customer, StaffAction, User
from core.addresses import request_address
from desk.site import record

VERBS = {ADDITION: "add", CHANGE: "change", DELETION: "delete"}
REASONS = ("reason", "words", "note", "why")
MASK = "•••"
SECRETS = re.compile(r"(^|_)(password|secret|api_key|sha256|hash|token)$|^data$")
"""Fields whose value is nobody's to read; `data` is a second factor's."""
NOT_NOTED = (
    "admin.logentry",
    "sessions.session",
    "usersessions.usersession",
    "accounts.staffaction",
    "accounts.securityevent",
    "billing.mail",
)
LONGEST = 2000


class Row(NamedTuple):
    """Which row: `app.model` and its primary key as text."""

    label: str
    pk: str


@dataclass(slots=True)
class Acting:
    """A request at the desk, and the rows it has touched so far as they were before; None for a new one."""

    request: HttpRequest
    before: dict[Row, dict[str, Any] | None] = field(default_factory=dict)
    why: str = ""


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


def staff_of(request: HttpRequest) -> User:
    """Who acts at the desk; raises `PermissionDenied` for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class StaffDesk:
    """Middleware: whatever a request to the desk writes is written down with its sender."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = _acting.set(Acting(request) if request.path_info.startswith("/admin/") else None)
        try:
            answer: HttpResponse = self.get_response(request)
        finally:
            _acting.reset(token)
        return answer


@dataclass(slots=True)
class Note:
    """What an act says of itself once it is done, and the object it made, if it began without one."""

    text: str = ""
    obj: models.Model | None = None


@contextmanager
def recorded(request: HttpRequest, obj: models.Model | None, text: str = "", *, why: str = "") -> Iterator[Note]:
    """One transaction for an act on `obj` and its audit row: both, or neither if the act raises.

    Without an object, the act puts the one it made into the note. Not for an act that asks somebody over the network:
    do that first, then `record` it.
    """
    with transaction.atomic():
        acting = _acting.get()
        if acting is not None:
            acting.why = why
            if obj is not None:
                _remember(acting, type(obj), obj.pk)
        note = Note(text, obj)
        yield note
        if note.obj is None:
            raise TypeError("an act is about some object")
        record(request, note.obj, note.text)


def remember_saved(sender: type[models.Model], instance: models.Model, **kwargs: Any) -> None:
    """Signal before a save or delete: keep what was there."""
    acting = _acting.get()
    if acting is not None and instance.pk is not None:
        _remember(acting, sender, instance.pk)


def remember_created(sender: type[models.Model], instance: models.Model, created: bool, **kwargs: Any) -> None:
    """Signal after a save: a row that got its key by it was not there before."""
    acting = _acting.get()
    if acting is not None and created and sender._meta.label_lower not in NOT_NOTED:
        acting.before.setdefault(Row(sender._meta.label_lower, str(instance.pk)), None)


def remember_relation(sender: Any, instance: models.Model, action: str, **kwargs: Any) -> None:
    """Signal before groups, permissions and the like are set."""
    if action.startswith("pre_"):
        remember_saved(type(instance), instance)


def write_down(sender: type[LogEntry], instance: LogEntry, created: bool, **kwargs: Any) -> None:
    """Signal after a log entry: the staff action, in its transaction."""
    if not created or instance.content_type is None:
        return
    acting = _acting.get()
    content_type = instance.content_type
    own = Row(f"{content_type.app_label}.{content_type.model}", str(instance.object_id))
    was: dict[Row, dict[str, Any] | None] = {}
    if instance.action_flag != CHANGE:
        was[own] = None if instance.action_flag == ADDITION else _read(own)
    if acting is not None:
        was |= acting.before
        acting.before = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    customer_id = None
    for row, old in was.items():
        # Django logs a deletion before it is done.
        new = _read(row) if row != own or instance.action_flag != DELETION else None
        if row == own:
            customer_id = _customer_of(row, new or old or {})
        first, second = _differences(old or {}, new or {})
        if row == own:
            before |= first
            after |= second
        else:
            name = f"{row.label} {row.pk}"
            before |= {name: first} if first else {}
            after |= {name: second} if second else {}
    if own not in was:
        customer_id = _customer_of(own, _read(own) or {})
    StaffAction.objects.create(
        user_id=instance.user_id,
        action=_verb(instance, acting)[:60],
        object_type=own.label,
        object_id=own.pk[:60],
        object_text=instance.object_repr[:200],
        customer_id=customer_id,
        text=instance.get_change_message()[:LONGEST],
        why=_why(acting)[:LONGEST],
        before=before,
        after=after,
        address=request_address(acting.request)[:45] if acting is not None else "",
        at=instance.action_time,
    )


def _remember(acting: Acting, model: type[models.Model], pk: Any) -> None:
    row = Row(model._meta.label_lower, str(pk))
    if row.label not in NOT_NOTED and row not in acting.before:
        acting.before[row] = _read(row)


def _read(row: Row) -> dict[str, Any] | None:
    """The row as the database has it, or None if it is not there."""
    model: Any = apps.get_model(row.label)
    names = [column.attname for column in model._meta.concrete_fields]
    values: dict[str, Any] | None = model._base_manager.filter(pk=row.pk).values(*names).first()
    if values is None:
        return None
    if model._meta.many_to_many:
        held = model._base_manager.get(pk=row.pk)
        for relation in model._meta.many_to_many:
            if relation.remote_field.through._meta.auto_created:
                values[relation.name] = sorted(str(other) for other in getattr(held, relation.name).all())
    return values


def _differences(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return (
        {name: _shown(name, old[name]) for name in names if name in old},
        {name: _shown(name, new[name], is_new=bool(old)) for name in names if name in new},
    )


def _shown(name: str, value: Any, *, is_new: bool = False) -> Any:
    if SECRETS.search(name):
        return f"{MASK} (new)" if value and is_new else MASK if value else ""
    if isinstance(value, bytes | memoryview):
        return f"{len(value)} bytes"
    if value is None or isinstance(value, bool | int | list | dict):
        return value
    return str(value)[:LONGEST]


def _customer_of(row: Row, values: dict[str, Any]) -> int | None:
    if row.label == Customer._meta.label_lower:
        return int(row.pk) if values else None
    whose = values.get("customer_id")
    return whose if isinstance(whose, int) else None


def _verb(entry: LogEntry, acting: Acting | None) -> str:
    """The name of the button: of an act on an object, of an action on a list, or add, change or delete."""
    plain = VERBS.get(entry.action_flag, "change")
    match = acting.request.resolver_match if acting is not None else None
    if acting is None or match is None:
        return plain
    if "name" in match.kwargs:
        return str(match.kwargs["name"])
    url_name = str(match.url_name or "")
    if url_name.endswith("_changelist"):
        return acting.request.POST.get("action") or plain
    content_type = entry.content_type
    model = f"{content_type.app_label}_{content_type.model}_" if content_type is not None else ""
    verb = url_name.removeprefix(model)
    return plain if verb == url_name else verb


def _why(acting: Acting | None) -> str:
    if acting is None:
        return ""
    if acting.why:
        return acting.why
    given = (acting.request.POST.get(name, "").strip() for name in REASONS)
    return next((text for text in given if text), "")


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    signals = models.signals
    signals.pre_save.connect(remember_saved, dispatch_uid="staff_pre_save")
    signals.pre_delete.connect(remember_saved, dispatch_uid="staff_pre_delete")
    signals.post_save.connect(remember_created, dispatch_uid="staff_post_save")
    signals.m2m_changed.connect(remember_relation, dispatch_uid="staff_m2m")
    signals.post_save.connect(write_down, sender=LogEntry, dispatch_uid="staff_log_entry")
