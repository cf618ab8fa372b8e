from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("proxy", "0007_purchases"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="purchasebatch",
            index=models.Index(
                condition=models.Q(("lacks_rate", True)), fields=["id"], name="purchase_lacks_rate"
            ),
        ),
    ]
