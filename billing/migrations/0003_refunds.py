from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0002_storage")]
    operations: ClassVar = []
