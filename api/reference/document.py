"""`/api/schema/`: the same for everybody, so it is made once, for whoever comes first, and kept as it is sent."""

from threading import Lock
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

from api.calling import schema as calling
from api.webhooks import schema as webhooks


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[misc, no-untyped-call]
    """How the schema tells of our keys; found by drf-spectacular because it is defined."""

    target_class = "api.common.authentication.ApiKeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ck-..."}


_lock = Lock()  # the generator cannot make two at a time
_made: dict[str, bytes] = {}


def rendered(renderer: Any) -> bytes:
    """The document in English, as this renderer of drf-spectacular writes it; made by whoever comes first."""
    with _lock:
        if renderer.media_type not in _made:
            _made[renderer.media_type] = renderer.render(_document(), renderer_context={})
        return _made[renderer.media_type]


def _document() -> dict[str, Any]:
    """The whole is large in memory, and is read anew from the JSON where it is needed once more."""
    if (kept := _made.get(OpenApiJsonRenderer.media_type)) is not None:
        read: dict[str, Any] = orjson.loads(kept)
        return read
    with translation.override("en"):
        generator: Any = SchemaGenerator  # untyped
        document: dict[str, Any] = generator().get_schema(request=None, public=True)
    document["paths"] = dict(sorted({**document["paths"], **calling.paths()}.items()))
    document["components"]["schemas"] |= webhooks.schemas()
    document["webhooks"] = webhooks.events()
    return document


def read() -> dict[str, Any]:
    """The document, for who shows it."""
    found: dict[str, Any] = orjson.loads(rendered(OpenApiJsonRenderer()))
    return found


@method_decorator(gzip_page, name="dispatch")
class SchemaView(SpectacularAPIView):
    """The document, from memory."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        answer = HttpResponse(rendered(renderer), content_type=renderer.media_type)
        answer["Content-Disposition"] = f'inline; filename="Chuizi.{renderer.format}"'
        answer["Cache-Control"] = "public, max-age=300"
        return answer
