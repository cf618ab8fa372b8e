"""Where payment providers send their notifications."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments import tasks
from payments.inbox import notifications
from payments.providers import checks, registry
from payments.providers.base import BadNotice, BadSignature
from payments.providers.spec import Answer


@csrf_exempt
@require_POST
def notify(request: HttpRequest, provider: str) -> HttpResponse:
    """Verify, store, acknowledge. No provider is asked here; the work is a task's."""
    spec = registry.SPECS[provider]
    body = request.read(notifications.MOST_BYTES + 1)
    if len(body) > notifications.MOST_BYTES:
        return HttpResponse(_("The body is too long."), status=413)
    headers = dict(request.headers)
    answer = response_of(spec.accepted)
    try:
        stored = notifications.receive(provider=provider, body=body, headers=headers, now=timezone.now())
    except LookupError:
        return HttpResponse(status=404)
    except BadSignature as error:
        answer = response_of(spec.refused)
        if isinstance(error, BadNotice):
            answer.status_code = 400
    else:
        if stored.processed_at is None:
            tasks.wake(tasks.process_notification, stored.pk)
    if mark := checks.mark_of(provider=provider, body=body, headers=headers):
        answer[checks.PROBE_HEADER] = mark
    return answer


def response_of(answer: Answer) -> HttpResponse:
    if isinstance(answer.body, str):
        return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)
    return JsonResponse(answer.body, status=answer.status)
