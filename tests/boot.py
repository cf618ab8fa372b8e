"""Loaded first (`-p tests.boot`): start PostgreSQL and the broker before Django reads its settings."""

import atexit
import os
import sys

from chuizi.local import services

running = services.for_tests()
os.environ.update(running.environment)
# Limits have tests of their own; elsewhere they would only get in the way.
os.environ.update({"DEFAULT_KEY_RPM": "0", "DEFAULT_CUSTOMER_RPM": "0", "DEFAULT_MODEL_RPM": "0", "DB_POOL_SIZE": "32"})
os.environ["HOLD_WAIT_SECONDS"] = "0"
os.environ["STAFF_SECOND_FACTOR"] = "False"
os.environ.setdefault("EMAIL_URL", "memorymail://")
# Nothing here speaks TLS, and each HTTP client takes 40 ms to read the system's certificates.
os.environ.update({"SSL_CERT_FILE": "", "SSL_CERT_DIR": str(running.state)})
# Some hundred processes are started, each of two thousand modules: to compile ours is a quarter of a start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
atexit.register(running.stop)
