from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('proxy', '0019_left_out'),
    ]

    operations = [
        migrations.AddField(
            model_name='generation',
            name='session',
            field=models.CharField(help_text="Of the caller's client, as it names it.", max_length=200, null=True, verbose_name='session'),
        ),
    ]
