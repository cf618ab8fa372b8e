from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0024_given_up_days"),
    ]

    operations = [
        migrations.AddField(
            model_name="statementline",
            name="detail",
            field=models.CharField(blank=True, max_length=300, verbose_name="detail"),
        ),
    ]
