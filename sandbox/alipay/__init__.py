"""Alipay's gateway: QR payments (当面付), refunds and bills, as its open platform answers."""
