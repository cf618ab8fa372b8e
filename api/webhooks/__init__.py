"""REST: webhooks out. Owners' keys with the scope `billing` alone."""
