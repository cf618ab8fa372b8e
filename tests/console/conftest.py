from tests.made_requests import catalog, make_request
from tests.proxy.conftest import upstream

__all__ = ["catalog", "make_request", "upstream"]
