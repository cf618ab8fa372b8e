from tests.proxy.purchases.conftest import answered

__all__ = ["answered"]
