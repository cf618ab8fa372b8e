"""What a serving process has in memory, as there are many of them."""

import subprocess
import sys

UNNEEDED = {"genai_prices", "av", "playwright"}
"""The list of prices takes 13 MB; sound is counted by processes of their own."""


def test_a_serving_process_leaves_out_what_it_never_needs():
    code = f"import chuizi.asgi, sys; print(*({UNNEEDED} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
