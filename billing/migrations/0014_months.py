import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0013_small_debts'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='monthlock',
            options={'permissions': [('lock_months', 'Can lock months of the books')], 'verbose_name': 'locked month', 'verbose_name_plural': 'locked months'},
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='transfer',
            name='transfer_open_day',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='monthlock',
            trigger=pgtrigger.compiler.Trigger(name='monthlock_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='578a822da01dac4c21177f158f0febf702bed429', operation='UPDATE OR DELETE', pgid='pgtrigger_monthlock_kept_0901e', table='billing_monthlock', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='transfer',
            trigger=pgtrigger.compiler.Trigger(name='transfer_open_day', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.created_at < statement_timestamp() - interval '30 minutes' OR NEW.booked_on < CURRENT_DATE - 1)", declare='DECLARE closed_day date; books_zone text; open_month date;', func="\nPERFORM pg_advisory_xact_lock_shared(hashtext('close_days'));\nSELECT max(day), min(zone) INTO closed_day, books_zone FROM billing_closedday;\nIF (NEW.created_at AT TIME ZONE 'UTC')::date <= closed_day THEN\n  IF NEW.booked_on = (NEW.created_at AT TIME ZONE books_zone)::date THEN\n    NEW.booked_on := (clock_timestamp() AT TIME ZONE books_zone)::date;\n  END IF;\n  NEW.created_at := clock_timestamp();\nEND IF;\nPERFORM pg_advisory_xact_lock_shared(hashtext('lock_month'));\nSELECT (max(month) + interval '1 month')::date INTO open_month FROM billing_monthlock;\nIF NEW.booked_on < open_month THEN\n  NEW.booked_on := open_month;\nEND IF;\nRETURN NEW;\n", hash='4b411516a2c4e071d91fe86398fdb69f242b1314', operation='INSERT', pgid='pgtrigger_transfer_open_day_ca0cd', table='billing_transfer', when='BEFORE')),
        ),
    ]
