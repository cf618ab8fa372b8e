"""WeChat Pay's API v3: Native (QR) payments, refunds and bills, in public-key mode."""
