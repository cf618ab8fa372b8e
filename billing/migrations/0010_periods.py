import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

KNOWN = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR "
    "ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR "
    "MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR "
    "SEK SGD SHP SLE SOS SRD STD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XCG "
    "XOF XPF YER ZAR ZMW"
).split()
UNLIMITED = ["SET statement_timeout = 0", "SET lock_timeout = 0"]
LIMITED = ["RESET statement_timeout", "RESET lock_timeout"]


def book_the_past(apps, schema_editor):
    """The table is written anew once, which fires no trigger: transfers refuse every update."""
    zone = settings.BOOKS_TIME_ZONE.key
    schema_editor.execute(
        "ALTER TABLE billing_transfer ALTER COLUMN booked_on TYPE date"
        f" USING ((created_at AT TIME ZONE {schema_editor.quote_value(zone)})::date)"
    )
    apps.get_model("billing", "ClosedDay").objects.update(zone=zone)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_api_rates'),
        ('billing', '0009_alerts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='MonthLock',
            fields=[
                ('month', models.DateField(help_text='Its first day.', primary_key=True, serialize=False, verbose_name='month')),
                ('locked_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='locked at')),
            ],
            options={
                'verbose_name': 'locked month',
                'verbose_name_plural': 'locked months',
            },
        ),
        migrations.RemoveConstraint(
            model_name='ledgeraccount',
            name='ledgeraccount_currency_known',
        ),
        migrations.AddField(
            model_name='closedday',
            name='zone',
            field=models.CharField(default='UTC', help_text="The books' time zone when it was closed.", max_length=60),
        ),
        migrations.AddField(
            model_name='transfer',
            name='booked_on',
            field=models.DateField(db_default=models.Func(function='CURRENT_DATE', output_field=models.DateField(), template='%(function)s'), help_text="The day it is about, in the books' time zone.", verbose_name='booked on'),
        ),
        migrations.RunSQL(UNLIMITED, LIMITED),
        migrations.RunPython(book_the_past, migrations.RunPython.noop),
        migrations.RunSQL(LIMITED, UNLIMITED),
        migrations.AddIndex(
            model_name='transfer',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['booked_on'], name='transfer_booked', pages_per_range=32),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='transfer',
            trigger=pgtrigger.compiler.Trigger(name='transfer_open_day', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.created_at < statement_timestamp() - interval '30 minutes')", declare='DECLARE closed_day date; books_zone text;', func="\nPERFORM pg_advisory_xact_lock_shared(hashtext('close_days'));\nSELECT max(day), min(zone) INTO closed_day, books_zone FROM billing_closedday;\nIF (NEW.created_at AT TIME ZONE 'UTC')::date <= closed_day THEN\n  IF NEW.booked_on = (NEW.created_at AT TIME ZONE books_zone)::date THEN\n    NEW.booked_on := (clock_timestamp() AT TIME ZONE books_zone)::date;\n  END IF;\n  NEW.created_at := clock_timestamp();\nEND IF;\nRETURN NEW;\n", hash='bdfe70a1073d02af9fd5b498003f2eed78085a6d', operation='INSERT', pgid='pgtrigger_transfer_open_day_ca0cd', table='billing_transfer', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(('currency__in', KNOWN)), name='ledgeraccount_currency_known'),
        ),
        migrations.AddField(
            model_name='monthlock',
            name='locked_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='locked by'),
        ),
        migrations.AddConstraint(
            model_name='monthlock',
            constraint=models.CheckConstraint(condition=models.Q(('month__day', 1)), name='monthlock_first_day'),
        ),
    ]
