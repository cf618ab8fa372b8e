import subprocess
from pathlib import Path

import environ
import pytest
from cryptography.hazmat.primitives import serialization

from chuizi.local import environment, sandbox_keys
from chuizi.local.state import LocalError


@pytest.fixture
def defaults(tmp_path: Path) -> dict[str, str]:
    return environment.sandbox_values(state=tmp_path, port=8123, sandbox_port=8124)


def test_a_variable_that_is_set_stays_and_the_missing_ones_are_filled(defaults):
    values = environment.completed({"USD_CNY_RATE": "6.90", "HOME": "/home/ada"}, defaults=defaults)
    assert values["USD_CNY_RATE"] == "6.90"
    assert values["HOME"] == "/home/ada"
    assert values["SITE_URL"] == "http://127.0.0.1:8123"
    assert values["STRIPE_API_BASE"] == "http://127.0.0.1:8124/stripe"


def test_a_variable_set_to_nothing_counts_as_set(defaults):
    assert environment.completed({"METRICS_TOKEN": "", "EMAIL_URL": ""}, defaults=defaults)["EMAIL_URL"] == ""


@pytest.mark.parametrize(
    ("secret", "prefix", "address"),
    [
        ("STRIPE_SECRET_KEY", "STRIPE_", "STRIPE_API_BASE"),
        ("ALIPAY_APP_PRIVATE_KEY", "ALIPAY_", "ALIPAY_GATEWAY"),
        ("WECHATPAY_PRIVATE_KEY", "WECHATPAY_", "WECHATPAY_API_BASE"),
    ],
)
def test_a_provider_with_a_secret_of_ones_own_gets_no_sandbox_value(defaults, secret, prefix, address):
    values = environment.completed({secret: "mine"}, defaults=defaults)
    assert [name for name in values if name.startswith(prefix)] == [secret]
    assert address in defaults


def test_a_webhook_secret_alone_leaves_the_rest_of_the_sandbox_and_is_told_to_it(tmp_path, defaults):
    given = {"STRIPE_WEBHOOK_SECRET": "whsec_mine"}
    again = environment.sandbox_values(state=tmp_path, port=8123, sandbox_port=8124, given=given)
    values = environment.completed(given, defaults=again)
    assert (tmp_path / "sandbox-keys" / "stripe_webhook_secret.txt").read_text() == "whsec_mine"
    assert values["STRIPE_WEBHOOK_SECRET"] == "whsec_mine"
    assert values["STRIPE_SECRET_KEY"] == defaults["STRIPE_SECRET_KEY"]


def test_the_secrets_of_a_real_account_are_not_written_for_the_sandbox(tmp_path, defaults):
    given = {"STRIPE_SECRET_KEY": "sk_live_mine", "STRIPE_WEBHOOK_SECRET": "whsec_mine"}
    environment.sandbox_values(state=tmp_path, port=8123, sandbox_port=8124, given=given)
    written = "".join(path.read_text() for path in (tmp_path / "sandbox-keys").iterdir())
    assert "mine" not in written


def test_secrets_are_made_once_and_private(tmp_path, defaults):
    again = environment.sandbox_values(state=tmp_path, port=8123, sandbox_port=8124)
    assert again == defaults
    for path in [tmp_path / "secret-key", tmp_path / "field-encryption-key", *(tmp_path / "sandbox-keys").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_two_state_folders_share_no_secret(tmp_path):
    one = environment.sandbox_values(state=tmp_path / "one", port=1, sandbox_port=2)
    two = environment.sandbox_values(state=tmp_path / "two", port=1, sandbox_port=2)
    for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEY", "STRIPE_SECRET_KEY", "WECHATPAY_APIV3_KEY"):
        assert one[name] != two[name]


def test_the_keys_have_the_shapes_the_providers_ask_for(tmp_path):
    keys = sandbox_keys.ensure(tmp_path)

    def text(name: str) -> str:
        return (keys / name).read_bytes().decode("ascii")

    assert len(text("wechat_apiv3_key.txt").encode()) == 32
    assert text("wechat_public_key_id.txt").startswith("PUB_KEY_ID_")
    assert len(text("wechat_merchant_cert_serial.txt")) == 40
    assert text("stripe_secret_key.txt").startswith("sk_test_")
    assert text("stripe_webhook_secret.txt").startswith("whsec_")
    for private, public in sandbox_keys.KEY_PAIRS:
        assert text(private).startswith("-----BEGIN PRIVATE KEY-----\n")
        assert "\r" not in text(private)
        pair = serialization.load_pem_private_key(text(private).encode(), password=None).public_key()
        assert pair == serialization.load_pem_public_key(text(public).encode())


def test_mail_goes_to_files_in_the_state_folder(tmp_path, defaults):
    read = environ.Env().email_url_config(defaults["EMAIL_URL"])
    assert read["EMAIL_BACKEND"] == "django.core.mail.backends.filebased.EmailBackend"
    assert read["EMAIL_FILE_PATH"] == str(tmp_path / "mail")


def test_export_lines_come_back_from_a_shell_as_they_were():
    values = {"ODD": "a 'b' \"c\" $HOME `id` \\ ;&\nline", "PLAIN": "x"}
    script = environment.export_lines(values) + '\nprintf %s "$ODD"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode() == values["ODD"]


def test_the_record_holds_the_named_and_the_optional_variables_alone(tmp_path):
    values = {"SITE_URL": "http://x", "SIGNUP_CREDIT": "1", "HOME": "/home/ada"}
    environment.record(tmp_path, values, names={"SITE_URL", "DATABASE_URL"})
    assert environment.recorded(tmp_path) == {"SITE_URL": "http://x", "SIGNUP_CREDIT": "1"}
    assert (tmp_path / environment.RECORD).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["0", "65536", "-1", "eighty", "80.0", "٨٠"])
def test_an_odd_port_is_refused_by_name(text):
    with pytest.raises(LocalError, match="PORT must be a port number"):
        environment.port({"PORT": text}, "PORT", 8000)
