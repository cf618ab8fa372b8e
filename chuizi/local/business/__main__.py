"""`python -m chuizi.local.business`, beside the running processes; made once, it is not made again."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
    import django

    django.setup()
    from django.utils import timezone

    from chuizi.local.business import making

    if not making.is_demo():
        sys.exit("Payments do not go to the sandbox: nothing is made.")
    making.make(now=timezone.now())


if __name__ == "__main__":
    main()
