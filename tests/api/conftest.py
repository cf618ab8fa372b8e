from tests.made_requests import catalog, make_request
from tests.proxy.conftest import gateway, upstream

__all__ = ["catalog", "gateway", "make_request", "upstream"]
