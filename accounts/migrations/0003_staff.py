import django.core.serializers.json
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models



def make_groups(apps, schema_editor):
    """The roles; what they may is given once all apps have their tables (payments 0007)."""
    Group = apps.get_model("auth", "Group")
    for name in ("support", "finance", "operator"):
        Group.objects.get_or_create(name=name)


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0002_storage"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name='StaffAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(help_text='Such as change, suspend or approve.', max_length=60, verbose_name='action')),
                ('object_type', models.CharField(help_text='Such as billing.refundrequest.', max_length=60, verbose_name='kind of object')),
                ('object_id', models.CharField(max_length=60, verbose_name="object's id")),
                ('object_text', models.CharField(max_length=200, verbose_name='object')),
                ('text', models.TextField(blank=True, verbose_name='what')),
                ('why', models.TextField(blank=True, verbose_name='why')),
                ('before', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='before')),
                ('after', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='after')),
                ('address', models.CharField(blank=True, max_length=45, verbose_name='from where')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='at')),
                ('customer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
            ],
            options={
                'verbose_name': 'staff action',
                'verbose_name_plural': 'staff actions',
                'indexes': [models.Index(fields=['object_type', 'object_id'], name='staffaction_object')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='staffaction',
            trigger=pgtrigger.compiler.Trigger(name='staffaction_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='4a78f4e27a9c3aa489e25e808bc4a75a6c006f93', operation='UPDATE OR DELETE', pgid='pgtrigger_staffaction_append_only_a9fc5', table='accounts_staffaction', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='staffaction',
            trigger=pgtrigger.compiler.Trigger(name='staffaction_no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'staff actions are append-only';", hash='53795fb9e53b8a9072188cc39cca9cd3a3075812', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_staffaction_no_truncate_2eb4f', table='accounts_staffaction', when='BEFORE')),
        ),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
