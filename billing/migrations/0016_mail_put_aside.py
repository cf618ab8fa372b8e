from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_api_rates'),
        ('billing', '0015_refunds_after_all'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='mail',
            options={'permissions': [('handle_mail', 'Can send mail again, or put it aside')], 'verbose_name': 'mail', 'verbose_name_plural': 'mail'},
        ),
        migrations.AddField(
            model_name='mail',
            name='put_aside_at',
            field=models.DateTimeField(blank=True, help_text='Staff gave it up: nobody tries again.', null=True, verbose_name='put aside at'),
        ),
        migrations.AddIndex(
            model_name='mail',
            index=models.Index(condition=models.Q(('sent_at__isnull', True)), fields=['created_at'], name='mail_unsent'),
        ),
        migrations.AddConstraint(
            model_name='mail',
            constraint=models.CheckConstraint(condition=models.Q(('put_aside_at__isnull', True), models.Q(('send_at__isnull', True), ('sent_at__isnull', True)), _connector='OR'), name='mail_put_aside_is_not_sent'),
        ),
    ]
