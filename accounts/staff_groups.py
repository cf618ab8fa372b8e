"""The groups of staff, filled from `accounts.roles.STAFF` after each migration, each right once."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission

from accounts.models import GivenRight
from accounts.roles import STAFF, StaffRole


def fill(sender: Any = None, **kwargs: Any) -> None:
    """Signal after migrations, of the last app: by then every right has its row."""
    if sender is not None and sender != [app for app in apps.get_app_configs() if app.models_module][-1]:
        return
    permissions = {
        f"{permission.content_type.app_label}.{permission.content_type.model}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    for name, role in STAFF.items():
        group, _ = Group.objects.get_or_create(name=name)
        given = set(GivenRight.objects.filter(role=name).values_list("right", flat=True))
        new = [right for right in rights(role) if right in permissions and right not in given]
        group.permissions.add(*(permissions[right] for right in new))
        GivenRight.objects.bulk_create([GivenRight(role=name, right=right) for right in new], ignore_conflicts=True)


def rights(role: StaffRole) -> Iterator[str]:
    """A role's rights as `app.model.codename`, those to look included."""
    for app in role.sees:
        for model in apps.get_app_config(app).get_models():
            yield f"{app}.{model._meta.model_name}.view_{model._meta.model_name}"
    yield from role.rights
