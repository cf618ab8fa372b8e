"""Settings, from the environment (a `.env` file works). A wrong value stops the start with a sentence naming it."""

import sys
from pathlib import Path
from urllib.parse import unquote

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from chuizi.schedule import SCHEDULE
from chuizi.values import count, days, decimal, env, networks, yuan_a_dollar, zone
from desk.appearance import UNFOLD  # noqa: F401  a setting
from payments.providers.registry import SPECS as PROVIDERS

BASE_DIR = Path(__file__).resolve().parent.parent
# --- Core ---------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "")
FIELD_ENCRYPTION_KEY = env.str("FIELD_ENCRYPTION_KEY", "")
for _name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEY"):
    if not globals()[_name]:
        raise ImproperlyConfigured(f"{_name} is not set. `make env` prints one for a local run.")
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = [SITE_URL]
TRUSTED_PROXY_DEPTH = count("TRUSTED_PROXY_DEPTH", 0)
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
STATE_DIR = Path(env.str("CHUIZI_STATE_DIR", str(BASE_DIR / ".local")))

INSTALLED_APPS = [
    "accounts",
    "billing",
    "payments",
    "proxy",
    "webhooks",
    "api",
    "console",
    "desk",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "pgtrigger",
    "rest_framework",
    "drf_spectacular",
]
MIDDLEWARE = [
    "core.web.middleware.RequestId",
    "core.web.middleware.ApiAnswers",
    "core.web.middleware.NoNul",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.security.sessions.SessionEnds",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "desk.second_factor.SecondFactor",
    "desk.trail.StaffDesk",
    "console.access.form_rate.FormRate",
]
ROOT_URLCONF = "chuizi.urls"
ASGI_APPLICATION = "chuizi.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False

# --- Database -----------------------------------------------------------------------------------------------------
# No transaction may outlive 5 s: an old snapshot makes every update of a hot wallet slower.
DB_STATEMENT_TIMEOUT_MS = count("DB_STATEMENT_TIMEOUT_MS", 5000)
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres:///chuizi")}
DATABASES["default"]["HOST"] = unquote(DATABASES["default"]["HOST"])  # a socket folder comes as %2Ftmp%2F...
DATABASES["default"]["OPTIONS"] = {
    # A server that vanished without a word is noticed in half a minute, not in hours.
    **{"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000},
    **DATABASES["default"].get("OPTIONS", {}),
    "options": (
        f"-c statement_timeout={DB_STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout=5000"
        " -c lock_timeout=4000 -c timezone=UTC"
    ),
    "pool": {"min_size": 0, "max_size": count("DB_POOL_SIZE", 16, least=1), "timeout": 5},
}
# allauth counts attempts and keeps used one-time codes in the first one, so nothing may be evicted from it, and it is
# apart; only what has expired is thrown away (accounts.tasks.tidy).
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache_limits",
        "OPTIONS": {"MAX_ENTRIES": 2**31},
    },
    "pages": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache"},
}

# --- Celery -------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "socket_connect_timeout": 2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_ROUTES = {
    "proxy.tasks.settle": {"queue": "settlement"},
    "proxy.tasks.post_purchases": {"queue": "purchases"},
    "proxy.tasks.rerate": {"queue": "rerating"},
    "payments.tasks.poll_topup": {"queue": "polling"},  # thousands of them must not stand before a notification
    "payments.tasks.*": {"queue": "payments"},
    "webhooks.tasks.*": {"queue": "webhooks"},
}
CELERY_BEAT_SCHEDULE = SCHEDULE

# --- Money --------------------------------------------------------------------------------------------------------
SIGNUP_CREDIT = decimal("SIGNUP_CREDIT", "0.50", places=8)
SIGNUP_CREDITS_PER_NETWORK_PER_DAY = count("SIGNUP_CREDITS_PER_NETWORK_PER_DAY", 5)
PRICE_MARGIN = decimal("PRICE_MARGIN", "1.05", least="1")
BILL_TOLERANCE = decimal("BILL_TOLERANCE", "0.01", places=8)
BILL_TOLERANCE_SHARE = decimal("BILL_TOLERANCE_SHARE", "0.001", most="1")
PRICE_JUMP = decimal("PRICE_JUMP", "0.50", most="100")
RERATE_UPWARDS = env.bool("RERATE_UPWARDS", False)
OVERRUN_LIMIT = decimal("OVERRUN_LIMIT", "1.00")
OVERRUN_AFTER_DAYS = count("OVERRUN_AFTER_DAYS", 7)
HOLD_WAIT_SECONDS = count("HOLD_WAIT_SECONDS", 20)
TOPUP_MAX = decimal("TOPUP_MAX", "10000.00", least="1.00", places=2)
TOPUP_MIN = decimal("TOPUP_MIN", "1.00", least="1.00", most=str(TOPUP_MAX), places=2)
TOPUP_MIN_BY_METHOD = {
    code: decimal(f"{spec.variable_prefix}_TOPUP_MIN", "0", most=str(TOPUP_MAX), places=2)
    for code, spec in PROVIDERS.items()
}
TOPUP_FEES = {  # percent of the base, and a fixed sum in the currency that is charged
    code: (
        decimal(f"{spec.variable_prefix}_TOPUP_FEE_PERCENT", "0", most="100"),
        decimal(f"{spec.variable_prefix}_TOPUP_FEE_FIXED", "0", most="1000"),
    )
    for code, spec in PROVIDERS.items()
}
TOPUP_FEE_REFUNDED = env.bool("TOPUP_FEE_REFUNDED", False)
TOPUP_MOST_OPEN = count("TOPUP_MOST_OPEN", 3, least=1)
TOPUP_MOST_PER_HOUR = count("TOPUP_MOST_PER_HOUR", 20, least=1)
TOPUP_MOST_PER_NETWORK_PER_HOUR = count("TOPUP_MOST_PER_NETWORK_PER_HOUR", 30, least=1)
TOPUP_NEW_CUSTOMER_DAYS = count("TOPUP_NEW_CUSTOMER_DAYS", 7)
TOPUP_NEW_CUSTOMER_DAILY = decimal("TOPUP_NEW_CUSTOMER_DAILY", "500.00")
LATE_RATE_DRIFT = decimal("LATE_RATE_DRIFT", "0.02", most="1")
CODES_LIMIT = decimal("CODES_LIMIT", "100.00")
REFUND_SUPPORT_LIMIT = decimal("REFUND_SUPPORT_LIMIT", "100.00")
REFUND_WINDOW_DAYS = {
    code: count(f"{spec.variable_prefix}_REFUND_WINDOW_DAYS", spec.refund_window_days)
    for code, spec in PROVIDERS.items()
}
BOOKS_TIME_ZONE = zone("BOOKS_TIME_ZONE", "UTC")
BUSINESS_TIME_ZONE = zone("BUSINESS_TIME_ZONE", "Asia/Shanghai")
BUSINESS_HOLIDAYS = days("BUSINESS_HOLIDAYS")
FX_RATE_MAX_AGE_DAYS = count("FX_RATE_MAX_AGE_DAYS", 30)
USD_CNY_RATE = yuan_a_dollar("USD_CNY_RATE")
FX_JUMP = decimal("FX_JUMP", "0.03", most="1")
FX_SPREAD = decimal("FX_SPREAD", "0", most="0.5")

# --- Gateway ------------------------------------------------------------------------------------------------------
MAX_BODY_BYTES = count("MAX_BODY_BYTES", 20_000_000, least=1)
MAX_PAGE_BODY_BYTES = count("MAX_PAGE_BODY_BYTES", 1_000_000, least=1)
PAGE_BODY_BUDGET_BYTES = count("PAGE_BODY_BUDGET_BYTES", 128_000_000, least=MAX_BODY_BYTES)
BODY_BUDGET_BYTES = count("BODY_BUDGET_BYTES", 512_000_000, least=MAX_BODY_BYTES)
MAX_UPLOAD_BYTES = count("MAX_UPLOAD_BYTES", 100_000_000, least=1)
UPLOAD_CUSTOMER_BYTES = count("UPLOAD_CUSTOMER_BYTES", 4 * MAX_UPLOAD_BYTES, least=MAX_UPLOAD_BYTES)
UPLOAD_BUDGET_BYTES = count("UPLOAD_BUDGET_BYTES", 5 * UPLOAD_CUSTOMER_BYTES, least=UPLOAD_CUSTOMER_BYTES)
UPLOAD_FOLDER = env.str("UPLOAD_FOLDER", "") or None
ANSWER_BUDGET_BYTES = count("ANSWER_BUDGET_BYTES", 512_000_000, least=64_000_000)
COUNT_TOKENS = env.bool("COUNT_TOKENS", True)
ONCE_STORE = env.bool("ONCE_STORE", True)
ONCE_MAX_BYTES = count("ONCE_MAX_BYTES", 8_000_000)
ONCE_BUDGET_BYTES = count("ONCE_BUDGET_BYTES", 128_000_000, least=ONCE_MAX_BYTES)
STOP_NOTICE_SECONDS = count("STOP_NOTICE_SECONDS", 5)
DRAIN_SECONDS = count("DRAIN_SECONDS", 600)
ALLOW_PRIVATE_UPSTREAMS = env.bool("ALLOW_PRIVATE_UPSTREAMS", False)
ALLOW_PRIVATE_WEBHOOKS = env.bool("ALLOW_PRIVATE_WEBHOOKS", False)
DEFAULT_KEY_RPM = count("DEFAULT_KEY_RPM", 60)
DEFAULT_CUSTOMER_RPM = count("DEFAULT_CUSTOMER_RPM", 120)
DEFAULT_MODEL_RPM = count("DEFAULT_MODEL_RPM", 60)
UPSTREAM_FAILURES = count("UPSTREAM_FAILURES", 3)
UPSTREAM_COOLDOWN_SECONDS = count("UPSTREAM_COOLDOWN_SECONDS", 5, least=1)
UPSTREAM_COOLDOWN_MOST_SECONDS = count("UPSTREAM_COOLDOWN_MOST_SECONDS", 300, least=UPSTREAM_COOLDOWN_SECONDS)

# --- Account API --------------------------------------------------------------------------------------------------
API_KEY_RPM = count("API_KEY_RPM", 120)
API_CUSTOMER_RPM = count("API_CUSTOMER_RPM", 600)
API_ADDRESS_RPM = count("API_ADDRESS_RPM", 1200)
MOST_KEYS = count("MOST_KEYS", 200, least=1)
MOST_REQUESTS_PER_DAY = count("MOST_REQUESTS_PER_DAY", 20, least=1)

# --- Accounts -----------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.people.passwords.NotGuessable"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/console/"
ACCOUNT_ADAPTER = "console.access.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "signup": "console.forms.accounts.SignupForm",
    "reset_password_from_key": "console.forms.accounts.NewPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = SITE_URL.partition(":")[0]
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # before an address changes, as console.access.reauthentication says
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600  # seconds
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of that, of passwords and second factors; a changed address is told, too
MFA_ADAPTER = "console.access.adapter.MfaAdapter"
MFA_TOTP_ISSUER = "Chuizi"
STAFF_SECOND_FACTOR = env.bool("STAFF_SECOND_FACTOR", True)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_URL.startswith("https://")
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
STAFF_SESSION_HOURS = count("STAFF_SESSION_HOURS", 8, least=1)

# --- Mail ---------------------------------------------------------------------------------------------------------
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 15  # seconds; a server that hangs would keep its thread for ever
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Chuizi <billing@localhost>")
ALERT_EMAILS = env.list("ALERT_EMAILS", default=[])
ALERT_WEBHOOK = env.str("ALERT_WEBHOOK", "")
ALERT_WEBHOOK_SECRET = env.str("ALERT_WEBHOOK_SECRET", "")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", "support@localhost")

# --- Languages and time -------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "chuizi.formats"

SANDBOX_URL = env.str("SANDBOX_URL", "")

# --- Pages --------------------------------------------------------------------------------------------------------
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "console.context.site",
            ],
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
CONTENT_SECURITY_POLICY = {
    # Admin (Alpine) brings its own scripts and gets a policy of its own in middleware.
    "EXCLUDE_URL_PREFIXES": ("/admin/",),
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        # The top-up form leads to a provider's page.
        "form-action": [
            SELF,
            *(spec.checkout_origin for spec in PROVIDERS.values() if spec.checkout_origin),
            *([SANDBOX_URL] if DEBUG and SANDBOX_URL else []),
        ],
        "frame-ancestors": [NONE],
    },
}
SECURE_REFERRER_POLICY = "same-origin"
if SITE_URL.startswith("https://"):
    SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365
    _behind_proxies = TRUSTED_PROXY_DEPTH or TRUSTED_PROXIES
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _behind_proxies else None

# --- REST API -----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.common.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.common.authentication.KeyMay", "api.common.known.SaysWhatIsRead"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.common.base.JsonBody"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.common.base.exception_handler",
    "DEFAULT_PAGINATION_CLASS": "api.common.base.NewestFirst",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Chuizi",
    "DESCRIPTION": "Paths to models, and the account API. Authenticate by `Authorization: Bearer ck-...`.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "ENUM_NAME_OVERRIDES": {
        "TopUpState": "api.topups.SHOWN_STATES",
        "RefundState": "billing.models.RefundRequest.State",
        "RefundPartState": "payments.models.RefundPart.State",
        "StatementState": "api.statements.views.STATES",
        "InvoiceState": "billing.models.InvoiceRequest.State",
        "DeliveryState": "webhooks.models.Delivery.State",
    },
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": SITE_URL}],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.reference.completing.complete",
    ],
}

# --- Payment providers --------------------------------------------------------------------------------------------
# Named and validated by payments.providers.registry; a provider whose variables are all absent is off.
PAYMENT_VARIABLES = {name: env.str(name, "") for spec in PROVIDERS.values() for name in spec.variables}

# --- Admin --------------------------------------------------------------------------------------------------------
# --- Logging ------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}, "bare": {}},
    "handlers": {name: {"class": "logging.StreamHandler", "formatter": name} for name in ("line", "bare")},
    "root": {"handlers": ["line"], "level": env.str("LOG_LEVEL", "INFO")},
    # The SDKs log whole requests and answers at DEBUG and INFO; those hold order and account data.
    "loggers": {
        **{
            name: {"level": "WARNING"}
            for name in (*(name for spec in PROVIDERS.values() for name in spec.loggers), "urllib3", "celery.beat")
        },
        "django": {"handlers": [], "propagate": True},
        "accounts.security": {"handlers": ["bare"], "level": "INFO", "propagate": False},
    },
}
TESTING = "pytest" in sys.modules
# A test takes back what it changed of the catalog, and the version with it.
KEEP_PAGES = not TESTING
