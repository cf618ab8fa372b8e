"""A part that goes by bank may belong to a top-up: one that its provider no longer pays back."""

from typing import Any

from django.db import migrations, models


def mark(apps: Any, schema_editor: Any) -> None:
    apps.get_model("payments", "RefundPart").objects.filter(topup__isnull=True).update(by_bank=True)


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_roles")]

    operations = [
        migrations.AddField(
            model_name="refundpart",
            name="by_bank",
            field=models.BooleanField(default=False, verbose_name="by bank transfer"),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="refundpart",
            index=models.Index(fields=["refund"], condition=models.Q(("state", "parked")), name="refundpart_parked"),
        ),
        migrations.AddIndex(
            model_name="refundpart",
            index=models.Index(
                fields=["provider_id"],
                condition=models.Q(("provider_id", ""), _negated=True),
                name="refundpart_provider_id",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundpart",
            constraint=models.CheckConstraint(
                condition=models.Q(("by_bank", True), ("topup__isnull", False), _connector="OR"),
                name="refundpart_has_a_way",
            ),
        ),
    ]
