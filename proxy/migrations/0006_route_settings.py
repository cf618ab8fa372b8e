"""What an upstream is and how a route tells limits; defaults stand in the database too, as the older release writes."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies: ClassVar = [
        ('proxy', '0005_rights'),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name='generation',
            name='stated_cost',
            field=models.DecimalField(decimal_places=8, help_text='What the upstream said that it cost, in USD: its claim, never shown to customers.', max_digits=20, null=True),
        ),
        migrations.AddField(
            model_name='generation',
            name='upstream_request_id',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='route',
            name='ask_usage',
            field=models.BooleanField(db_default=True, default=True, help_text='With stream_options. Without, what a stream used is estimated unless it is told anyway.', verbose_name='ask for usage in streams'),
        ),
        migrations.AddField(
            model_name='route',
            name='limit_field',
            field=models.CharField(blank=True, choices=[('max_tokens', 'max_tokens'), ('max_completion_tokens', 'max_completion_tokens')], db_default='', default='', help_text="In which the limit is told, whichever the caller names. Empty: in the caller's, else by the model's name.", max_length=30, verbose_name='field of the output limit'),
        ),
        migrations.AddField(
            model_name='upstream',
            name='account',
            field=models.SlugField(blank=True, db_default='', db_index=False, default='', help_text="Upstreams of one account share what it keeps. Empty: the upstream's name.", max_length=60, verbose_name='account'),
        ),
        migrations.AddField(
            model_name='upstream',
            name='bills_abandoned',
            field=models.BooleanField(db_default=True, default=True, help_text='It goes on working, and bills, when we hang up.', verbose_name='bills what is abandoned'),
        ),
        migrations.AddField(
            model_name='upstream',
            name='kind',
            field=models.CharField(blank=True, choices=[('openai', 'OpenAI'), ('azure', 'Azure'), ('openrouter', 'OpenRouter'), ('litellm', 'LiteLLM'), ('vllm', 'vLLM'), ('relay', 'relay'), ('anthropic', 'Anthropic'), ('gemini', 'Gemini')], db_default='', default='', help_text="Whose program answers there. Empty: the protocol's own provider.", max_length=20, verbose_name='kind'),
        ),
    ]
