"""Stand-ins that speak the real protocols of Stripe, Alipay, WeChat Pay and a language model. No real money moves.

They know no app and no payment SDK; README.md beside this file tells how to use them.
"""
