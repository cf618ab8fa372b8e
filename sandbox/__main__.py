"""`python -m sandbox --port 8001 --state .local --site-url http://127.0.0.1:8000`"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from sandbox.config import Config, SandboxMisconfigured
from sandbox.server import serve


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 if the keys are wrong or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="holds sandbox-keys/ and, afterwards, the orders")
    parser.add_argument("--site-url", required=True, help="where Chuizi listens for notifications")
    given = parser.parse_args()
    try:
        config = Config.read(port=given.port, state=given.state, site_url=given.site_url, environment=os.environ)
        return asyncio.run(_serve(config))
    except (SandboxMisconfigured, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr, flush=True)
        return 1


async def _serve(config: Config) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    runner = await serve(config)
    print(f"sandbox: {config.base_url} (no real money moves)", flush=True)
    try:
        await stopped.wait()
    finally:
        await runner.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
