from tests.made_requests import catalog, make_request

__all__ = ["catalog", "make_request"]
