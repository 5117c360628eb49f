"""Settings: one file, read from the environment; .env.example lists every variable."""

import os
import sys
from pathlib import Path

import environ
import structlog
from celery.schedules import schedule
from csp.constants import NONE, SELF

from sqpsych_site.local import postgres, valkey
from sqpsych_site.secret import load_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.2.0"

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))

TESTING = "pytest" in sys.modules
# Tests keep their data beside the developer's own.
DATA_DIR = Path(
    env.str("SQPSYCH_DATA_DIR", default=str(BASE_DIR / ("var/test" if TESTING else "var")))
).resolve()
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or load_secret_key(DATA_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# -- the model servers ---------------------------------------------------------------------
SQPSYCH_VLLM_URL = env.str("SQPSYCH_VLLM_URL", default="")
SQPSYCH_VLLM_API_KEY = env.str("SQPSYCH_VLLM_API_KEY", default="")
SQPSYCH_MODEL = env.str("SQPSYCH_MODEL", default="")
# Client data leaves the machine's own network only when an administrator says so.
ALLOW_PUBLIC_ENDPOINTS = env.bool("SQPSYCH_ALLOW_PUBLIC_ENDPOINTS", default=False)
ENGINE_SLICE_SECONDS = env.int("SQPSYCH_ENGINE_SLICE_SECONDS", default=120)
ENGINE_LEASE_SECONDS = env.int("SQPSYCH_ENGINE_LEASE_SECONDS", default=45)
ENGINE_REQUEST_SECONDS = env.int("SQPSYCH_ENGINE_REQUEST_SECONDS", default=300)
BREAKER_SHARE = env.float("SQPSYCH_BREAKER_SHARE", default=0.5)
BREAKER_MINIMUM = env.int("SQPSYCH_BREAKER_MINIMUM", default=20)
BREAKER_WINDOW = env.int("SQPSYCH_BREAKER_WINDOW", default=50)
ALLOW_MINORS = env.bool("SQPSYCH_ALLOW_MINORS", default=False)
CRISIS_CONTACT = env.str("SQPSYCH_CRISIS_CONTACT", default="")

INSTALLED_APPS = [
    "sqpsych_site",
    "generation",
    "review",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "django_structlog",
    "pgtrigger",
    "pghistory",
    "template_partials",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sqpsych_site.language.Language",
    "sqpsych_site.middleware.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "sqpsych_site.middleware.AuditContext",
    "sqpsych_site.middleware.PrivatePages",
]

ROOT_URLCONF = "sqpsych_site.urls"
WSGI_APPLICATION = "sqpsych_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "sqpsych_site.context.navigation",
            ],
        },
    }
]

# -- database ------------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="") or postgres.database_url(DATA_DIR)
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
DATABASES["default"].update(
    ENGINE="sqpsych_site.postgresql",
    CONN_MAX_AGE=env.int("CONN_MAX_AGE", default=600),
    # Costs nothing here: see sqpsych_site/postgresql.
    CONN_HEALTH_CHECKS=env.bool("CONN_HEALTH_CHECKS", default=True),
)
DATABASES["default"].setdefault("OPTIONS", {}).update(
    application_name="sqpsych",
    options="-c statement_timeout=60000 -c lock_timeout=10000 "
    "-c idle_in_transaction_session_timeout=60000 -c timezone=UTC "
    # A read in place of the next costs little on today's disks: pages of long lists come from
    # the index of their filter, not from a walk over all rows.
    "-c random_page_cost=1.1 "
    # Each trigger asks for this; where it is not set, PostgreSQL raises and catches an error.
    "-c pgtrigger.ignore={}",
)
# One test database per test process, so that two runs never drop each other's.
DATABASES["default"]["TEST"] = {"NAME": f"test_sqpsych_{os.getpid()}"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- users ---------------------------------------------------------------------------------
AUTH_USER_MODEL = "sqpsych_site.User"
AUTHENTICATION_BACKENDS = ["sqpsych_site.accounts.Accounts"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "sqpsych_site.accounts.ClosedSignup"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "SQPsych"
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="django.core.mail.backends.console.EmailBackend")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="sqpsych@localhost")

# -- sessions and browser security -------------------------------------------------------------
HTTPS = env.bool("SQPSYCH_HTTPS", default=False)
if env.bool("SQPSYCH_BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_ENGINE = "sqpsych_site.sessions"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    name: []
    for name in ("camera", "microphone", "geolocation", "payment", "usb", "interest-cohort")
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "sqpsych_cache",
    }
}

# -- language, time, static files --------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG or TESTING

# -- background work ---------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or valkey.broker_url(DATA_DIR)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_EAGER_RESULT = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
# Twice the longest slice: the broker never makes a second copy of a running task.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"visibility_timeout": max(600, 2 * ENGINE_SLICE_SECONDS)}
    if CELERY_BROKER_URL.startswith(("redis", "valkey", "rediss"))
    else {}
)
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"generation.tasks.*": {"queue": "generation"}}
CELERY_BEAT_SCHEDULE = {
    "wake-engine": {
        "task": "generation.tasks.wake_engine",
        "schedule": schedule(run_every=10),
        "options": {"expires": 10},
    },
    "check-endpoints": {
        "task": "generation.tasks.check_endpoints",
        "schedule": schedule(run_every=15),
        "options": {"expires": 15},
    },
    "screen-imported": {
        "task": "generation.tasks.screen_imported",
        "schedule": schedule(run_every=10),
        "options": {"expires": 10},
    },
    "prune-samples": {
        "task": "generation.tasks.prune_samples",
        "schedule": schedule(run_every=3600),
        "options": {"expires": 600},
    },
    "forget-uploads": {
        "task": "generation.tasks.forget_uploads",
        "schedule": schedule(run_every=600),
        "options": {"expires": 600},
    },
    "worker-heartbeat": {
        "task": "sqpsych_site.tasks.heartbeat",
        "schedule": schedule(run_every=10),
        "options": {"expires": 10},
    },
}

# -- audit: who did it travels with each change --------------------------------------------------
PGHISTORY_CONTEXT_FIELD_KW = {"null": True}
PGHISTORY_DEFAULT_TRACKERS = None
PGTRIGGER_MIGRATIONS = True

# -- logs: ids, never texts ------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.processors.JSONRenderer(),
            "foreign_pre_chain": [
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django_structlog": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
TEST_RUNNER = "django.test.runner.DiscoverRunner"
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
