"""Holds alone: how many durable holds a second admission writes, on one hot wallet, from this process.

Run: python -m bench.holds KEY [SECONDS], beside another for two processes on one wallet.
"""

import asyncio
import os
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
CALLERS = 800


async def measure(key: str, seconds: float) -> tuple[int, float]:
    from django.conf import settings

    from accounts.keys.issuing import digest
    from proxy.admission.ask import ask_of
    from proxy.batches.threads import in_thread
    from proxy.gateway.app import Gateway
    from proxy.prices.catalog import load
    from proxy.protocols.openai import chat
    from proxy.protocols.openai.chat.endpoint import ChatCompletions

    gateway, endpoint = Gateway(), ChatCompletions()
    await gateway.start()
    policy = await gateway._keyring.reload(digest(key))
    entry = (await in_thread(load)()).find("bench/model")
    call = chat.read(
        b'{"model":"bench/model","max_tokens":100,"messages":[{"role":"user","content":"Say a few words."}]}'
    )
    assert policy is not None
    assert entry is not None
    assert settings.DEFAULT_KEY_RPM == 0
    deadline = time.perf_counter() + seconds
    done = 0

    async def ask_on() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            await gateway._admission.admit(
                ask_of(endpoint, call, entry, policy=policy, model_rpm=0), lambda admitted: admitted
            )
            done += 1

    start = time.perf_counter()
    await asyncio.gather(*(ask_on() for _ in range(CALLERS)))
    took = time.perf_counter() - start
    await gateway.stop()
    return done, took


def main() -> None:
    import django
    import uvloop

    django.setup()
    uvloop.install()
    done, took = asyncio.run(measure(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5))
    print(f"{done / took:.0f} holds/s")


if __name__ == "__main__":
    main()
