"""`/api/schema/`: the same for everybody, so it is made once. The generator cannot make two at a time."""

from threading import Lock
from typing import Any

from django.http import HttpResponse
from django.utils import translation
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

from api.calling import schema as calling


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[misc, no-untyped-call]
    """How the schema tells of our keys; found by drf-spectacular because it is defined."""

    target_class = "api.common.authentication.ApiKeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ck-..."}


_lock = Lock()
_made: dict[str, bytes] = {}
_document: dict[str, Any] = {}


def rendered(renderer: Any) -> bytes:
    """The schema in English, as this renderer of drf-spectacular writes it; made by whoever comes first."""
    with _lock:
        if renderer.media_type not in _made:
            if not _document:
                with translation.override("en"):
                    generator: Any = SchemaGenerator  # untyped
                    _document.update(generator().get_schema(request=None, public=True))
                _document["paths"] = dict(sorted({**_document["paths"], **calling.paths()}.items()))
            _made[renderer.media_type] = renderer.render(_document, renderer_context={})
        return _made[renderer.media_type]


def make() -> None:
    """Make it before anybody asks; both forms, as the page of the API reads the first and programs the second."""
    for renderer in SpectacularAPIView.renderer_classes[::2]:
        rendered(renderer())


class SchemaView(SpectacularAPIView):
    """The schema, from memory."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        answer = HttpResponse(rendered(renderer), content_type=renderer.media_type)
        answer["Content-Disposition"] = f'inline; filename="Chuizi.{renderer.format}"'
        answer["Cache-Control"] = "public, max-age=300"
        return answer
