from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("payments", "0002_late_looks"), ("billing", "0003_refunds")]
    operations: ClassVar = []
