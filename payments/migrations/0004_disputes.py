from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("payments", "0003_refunds")]
    operations: ClassVar = []
