"""What the roles may do: support, finance and operator, as groups that a person is put into.

It stands here because the rights are of all apps. Operators may change the groups afterwards; nothing sets them back.
"""

from typing import ClassVar

from django.db import migrations

BOOKS = ("accounts", "billing", "payments", "proxy")
SUPPORT = (
    "accounts.customer.change_customer",
    "accounts.apikey.change_apikey",
    "billing.adjustmentproposal.handle_refunds",
    "billing.adjustmentproposal.handle_invoices",
    "payments.dispute.change_dispute",
)
ROLES = {
    "support": (BOOKS, SUPPORT),
    "finance": (
        BOOKS,
        (
            *SUPPORT,
            "billing.adjustmentproposal.approve_large_refunds",
            "billing.adjustmentproposal.post_adjustments",
            "billing.invoiceseries.add_invoiceseries",
            "billing.invoiceseries.change_invoiceseries",
            "payments.exchangerate.set_rates",
            "payments.discrepancy.handle_discrepancies",
            "payments.notification.replay_notifications",
            "proxy.price.set_prices",
        ),
    ),
    "operator": (("proxy",), ("proxy.upstream.manage_upstreams",)),
}
"""By group: the apps it may look at, and what it may do, as app.model.right."""
NAMES = {
    "handle_refunds": "Can decide refund requests up to the limit",
    "approve_large_refunds": "Can approve refunds above the limit",
    "handle_invoices": "Can handle invoice requests",
    "post_adjustments": "Can propose and approve adjustments and write-offs",
    "set_rates": "Can set exchange rates",
    "handle_discrepancies": "Can explain discrepancies",
    "replay_notifications": "Can process notifications again",
    "set_prices": "Can set prices",
    "manage_upstreams": "Can manage upstreams, models and routes",
}


def fill_groups(apps, schema_editor):
    """Give each group its rights; Django makes permissions only after all migrations, so they are made here."""
    Group = apps.get_model("auth", "Group")
    ContentType, Permission = apps.get_model("contenttypes", "ContentType"), apps.get_model("auth", "Permission")

    def permission(app, model, codename, name):
        content_type, _ = ContentType.objects.get_or_create(app_label=app, model=model)
        return Permission.objects.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": name}
        )[0]

    for role, (seen, rights) in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        for app in seen:
            for model in apps.get_app_config(app).get_models():
                name = model._meta.model_name
                group.permissions.add(permission(app, name, f"view_{name}", f"Can view {model._meta.verbose_name}"))
        for right in rights:
            app, name, codename = right.split(".")
            words = NAMES.get(codename, f"Can {codename.replace('_', ' ')}")
            group.permissions.add(permission(app, name, codename, words))


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("payments", "0006_limits"),
        ("accounts", "0003_staff"),
        ("billing", "0006_adjustments"),
        ("proxy", "0005_rights"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations: ClassVar = [
        migrations.AlterModelOptions(
            name="discrepancy",
            options={
                "permissions": [("handle_discrepancies", "Can explain discrepancies")],
                "verbose_name": "discrepancy",
                "verbose_name_plural": "discrepancies",
            },
        ),
        migrations.AlterModelOptions(
            name="exchangerate",
            options={
                "get_latest_by": "created_at",
                "permissions": [("set_rates", "Can set exchange rates")],
                "verbose_name": "exchange rate",
                "verbose_name_plural": "exchange rates",
            },
        ),
        migrations.AlterModelOptions(
            name="notification",
            options={
                "permissions": [("replay_notifications", "Can process notifications again")],
                "verbose_name": "notification",
                "verbose_name_plural": "notifications",
            },
        ),
        migrations.RunPython(fill_groups, migrations.RunPython.noop),
    ]
