"""What `/metrics` shows. Label sets are bounded: models and upstreams of the catalog, states and reasons."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("chuizi_requests_total", "Gateway requests by model and HTTP status.", ["model", "status"])
UPSTREAM_ERRORS = Counter("chuizi_upstream_errors_total", "Failed calls by upstream and kind.", ["upstream", "kind"])
ADMISSION_SECONDS = Histogram(
    "chuizi_admission_seconds",
    "From a request's wait for its hold to the commit.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ADMISSION_BATCH = Histogram("chuizi_admission_batch", "Requests a batch.", buckets=(1, 2, 5, 10, 20, 50, 100, 200))
METERING_SECONDS = Histogram(
    "chuizi_metering_seconds",
    "From usage known to usage committed.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
IN_FLIGHT = Gauge("chuizi_requests_in_flight", "Requests being served.")
UNWRITTEN = Gauge("chuizi_usage_unwritten", "Usage records waiting to be committed.")
UNWRITTEN_AGE = Gauge("chuizi_usage_unwritten_seconds", "Age of the oldest of them.")
