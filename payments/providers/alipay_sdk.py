"""python-alipay-sdk, kept from reconfiguring the process's logging, which it does when it is imported."""

import logging.config

_configure = logging.config.dictConfig
logging.config.dictConfig = lambda config: None  # type: ignore[assignment]
try:
    from alipay import AliPay
    from alipay.exceptions import AliPayException, AliPayValidationError
    from alipay.utils import AliPayConfig
finally:
    logging.config.dictConfig = _configure

__all__ = ["AliPay", "AliPayConfig", "AliPayException", "AliPayValidationError"]
