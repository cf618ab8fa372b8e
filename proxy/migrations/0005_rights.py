from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("proxy", "0004_uncharged")]

    operations: ClassVar = [
        migrations.AlterModelOptions(
            name="price",
            options={
                "permissions": [("set_prices", "Can set prices")],
                "verbose_name": "price",
                "verbose_name_plural": "prices",
            },
        ),
        migrations.AlterModelOptions(
            name="upstream",
            options={
                "permissions": [("manage_upstreams", "Can manage upstreams, models and routes")],
                "verbose_name": "upstream",
                "verbose_name_plural": "upstreams",
            },
        ),
    ]
