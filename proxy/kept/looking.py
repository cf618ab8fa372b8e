"""Ask upstreams how jobs stand: a task does now and then, and a customer who asks for one does too.

docs/gateway.md, "Background jobs".
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from time import monotonic

from django.conf import settings

from proxy.batches.threads import in_thread
from proxy.batches.timeouts import timeout
from proxy.kept import jobs
from proxy.kept.jobs import Open
from proxy.kept.judging import destination_of, record_of
from proxy.kept.keeping import Keeper, Standing
from proxy.models import Attempt as AttemptRow
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols.base import Reported, printable
from proxy.protocols.endpoint import Sending
from proxy.protocols.lossless import load_sound
from proxy.relay.client import LOST, Client, read_all
from proxy.settlement import attempts

log = logging.getLogger(__name__)

MOST_AT_ONCE = 50
LOOK_SECONDS = 10.0
"""For an upstream's answer; what takes longer is looked at again later."""
UNTOLD_LOOKS = 3
"""So often what was stopped may keep its usage to itself, until it is charged as not known."""
MOST_LOOKERS = 2
"""At once in a process: a slow upstream is not to occupy all of its threads."""
GONE = Standing(True, Reported(None), was_stopped=True)
Reason = Generation.Reason
Outcome = AttemptRow.Outcome
KeeperOf = Callable[[str, str], Keeper | None]
"""By an endpoint's path and an upstream's protocol."""
_lookers = threading.BoundedSemaphore(MOST_LOOKERS)


def look_at_all(keeper_of: KeeperOf) -> int:
    """Look at the jobs that are due; return how many were."""
    if not _lookers.acquire(blocking=False):
        return 0
    try:
        total = 0
        while found := jobs.claim(most=MOST_AT_ONCE):
            total += len(found)
            asyncio.run(_look_at(found, keeper_of))
        return total
    finally:
        _lookers.release()


async def _look_at(found: list[Open], keeper_of: KeeperOf) -> None:
    client = Client(allow_private=settings.ALLOW_PRIVATE_UPSTREAMS)
    try:
        looks = [_look_soundly(job, keeper_of, client) for job in found]
        await asyncio.gather(*looks)
    finally:
        await client.close()


async def _look_soundly(job: Open, keeper_of: KeeperOf, client: Client) -> None:
    try:
        await look_at(job, keeper_of, client)
    except Exception:
        log.exception("job %s could not be looked at", job.generation_id)


async def look_at(job: Open, keeper_of: KeeperOf, client: Client) -> None:
    """Ask its upstream, and write down what that tells; a job whose time is up is cancelled there."""
    destination = await in_thread(destination_of)(job)
    keeper = keeper_of(job.path, destination.protocol)
    standing = None
    if keeper is not None:
        standing = await ask(client, destination, keeper.look(job.name, destination), keeper)
        if job.is_due and not (standing and standing.is_over):
            standing = await ask(client, destination, keeper.cancel(job.name, destination), keeper) or standing
    await in_thread(conclude)(job, destination, standing)


async def ask(client: Client, destination: Destination, sending: Sending, keeper: Keeper) -> Standing | None:
    """How it stands; None where the upstream does not say, `GONE` where it has none such."""
    try:
        with timeout(min(LOOK_SECONDS, destination.timeout)):
            response = await client.send(destination, sending, taken=_nothing)
            async with response:
                if response.status == 404:
                    return GONE
                if response.status >= 300:
                    log.warning("upstream %s answers %s about a job", destination.upstream, response.status)
                    return None
                answer, _ = load_sound(await read_all(b"", response.content.iter_any()))
    except (TimeoutError, ValueError, *LOST) as error:
        log.warning("upstream %s about a job: %s", destination.upstream, type(error).__name__)
        return None
    return keeper.standing(answer) if isinstance(answer, Mapping) else None


def _nothing() -> None:
    """Nobody counts what a look costs."""


def conclude(job: Open, destination: Destination, standing: Standing | None) -> None:
    """Write down what a look has told: its usage, that there is none, or that nobody will know."""
    if standing is not None and standing.is_over:
        if standing.reported.usage is not None:
            jobs.meter(record_of(job, destination, standing.reported, reason=_reason(job, standing)))
        elif not standing.was_stopped:
            jobs.give_up(job.generation_id, reason=Reason.UPSTREAM_ERROR, flag=False)
        elif job.untold + 1 < UNTOLD_LOOKS:
            jobs.was_untold(job.generation_id)
        else:
            _conclude_untold(job, destination, is_gone=standing is GONE)
    elif job.is_due:
        if job.untold + 1 < UNTOLD_LOOKS:
            jobs.was_untold(job.generation_id)
        else:
            _conclude_untold(job, destination, is_gone=False)


def _conclude_untold(job: Open, destination: Destination, *, is_gone: bool) -> None:
    """Nobody tells what it used. What its caller stopped is charged as its prompt's fair count where the upstream bills
    what is abandoned; else the house bears it, and somebody is to look.
    """
    if not (job.is_due or is_gone):
        if destination.bills_abandoned:
            nothing = Reported(None, upstream_id=job.name)
            jobs.meter(record_of(job, destination, nothing, reason=Reason.CLIENT_DISCONNECTED))
        else:
            jobs.give_up(job.generation_id, reason=Reason.CLIENT_DISCONNECTED, flag=False)
        return
    reason = Reason.UPSTREAM_EOF if is_gone else Reason.TIMEOUT
    if jobs.give_up(job.generation_id, reason=reason, flag=True):
        outcome = Outcome.ABANDONED if is_gone else Outcome.TIMED_OUT
        tried = attempts.Attempt(job.upstream_id, outcome, monotonic(), upstream_request_id=printable(job.name))
        attempts.write([(job.generation_id, 1, tried)])


def _reason(job: Open, standing: Standing) -> str:
    if not standing.was_stopped:
        return Reason.COMPLETED
    return Reason.TIMEOUT if job.is_due else Reason.CLIENT_DISCONNECTED


def told(job: Open, keeper: Keeper, raw: bytes) -> None:
    """A caller is about to see this answer: write what it tells of the job's usage."""
    try:
        answer, _ = load_sound(raw)
    except ValueError:
        return
    standing = keeper.standing(answer) if isinstance(answer, Mapping) else None
    if standing is None or not standing.is_over:
        return
    if standing.reported.usage is None:
        jobs.look_soon(job.generation_id)  # the task alone decides what is not told
    else:
        jobs.meter(record_of(job, destination_of(job), standing.reported, reason=_reason(job, standing)))
