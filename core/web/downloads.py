"""A file of somebody's to download."""

from django.http import Http404, HttpResponse


def as_file(*, name: str, kind: str, content: bytes | memoryview) -> HttpResponse:
    """Never shown as a page of ours, whatever the file holds; `kind` is its media type. Raises 404 for an empty one."""
    if not content:
        raise Http404
    answer = HttpResponse(bytes(content), content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Content-Security-Policy"] = "sandbox"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
