from django.db import migrations, models

FILL = """
UPDATE accounts_keymeter m SET
  week_spent = CASE WHEN m.day >= date_trunc('week', t.today)::date THEN coalesce(s.week, 0) ELSE m.day_spent END,
  month_spent = CASE WHEN m.day >= date_trunc('month', t.today)::date THEN coalesce(s.month, 0) ELSE m.day_spent END,
  day_charged = m.day_spent - coalesce(s.day_held, 0),
  week_charged = CASE WHEN m.day >= date_trunc('week', t.today)::date THEN coalesce(s.week - s.week_held, 0)
    ELSE m.day_spent END,
  month_charged = CASE WHEN m.day >= date_trunc('month', t.today)::date THEN coalesce(s.month - s.month_held, 0)
    ELSE m.day_spent END,
  total_charged = m.total_spent - coalesce(s.held, 0)
FROM accounts_keymeter k
CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS today) t
LEFT JOIN (
  SELECT g.key_id,
    sum(g.counted) FILTER (WHERE g.day >= g.week_begins) AS week,
    sum(g.counted) FILTER (WHERE g.day >= g.month_begins) AS month,
    coalesce(sum(g.held) FILTER (WHERE g.open AND g.day = d.day), 0) AS day_held,
    coalesce(sum(g.held) FILTER (WHERE g.open AND g.day >= g.week_begins), 0) AS week_held,
    coalesce(sum(g.held) FILTER (WHERE g.open AND g.day >= g.month_begins), 0) AS month_held,
    coalesce(sum(g.held) FILTER (WHERE g.open), 0) AS held
  FROM (
    SELECT key_id, held, (created_at AT TIME ZONE 'UTC')::date AS day,
      state IN ('held', 'metered', 'quarantined') AS open,
      CASE WHEN state IN ('held', 'metered', 'quarantined') THEN held ELSE coalesce(corrected_cost, cost, 0) END
        AS counted,
      date_trunc('week', now() AT TIME ZONE 'UTC')::date AS week_begins,
      date_trunc('month', now() AT TIME ZONE 'UTC')::date AS month_begins
    FROM proxy_generation
    WHERE created_at >= least(date_trunc('week', now() AT TIME ZONE 'UTC'), date_trunc('month', now() AT TIME ZONE 'UTC'))
      AT TIME ZONE 'UTC' OR state IN ('held', 'metered', 'quarantined')
  ) g JOIN accounts_keymeter d ON d.key_id = g.key_id
  GROUP BY g.key_id
) s ON s.key_id = k.key_id
WHERE k.key_id = m.key_id AND m.total_spent <> 0
"""
"""What keys spent this week and this month, from their requests: from now on their meters count it."""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_caps'),
        ('proxy', '0026_hold_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='generation',
            name='counted_on',
            field=models.DateField(help_text='The day of its account on which caps count it; empty: its day in UTC.', null=True, verbose_name='counted on'),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
