"""Bodies are what the description says: no field that there is not, and each of its JSON type.

A slip in a name would silently leave something as it is, such as a limit or an overlap; a `"false"` would be a true.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module, for its defaults

    Base = serializers.Serializer[Any]
else:
    Base = object

MOST_NAME, MOST_LIKENED = 60, 10
TEXTS = (
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.DateField,
)


def amount_schema(*, places: int) -> dict[str, Any]:
    """An amount in the description of the API: a text of at most so many decimals, or a whole number."""
    pattern = rf"^[0-9]{{1,11}}(\.[0-9]{{1,{places}}})?$"
    either: dict[str, Any] = {
        "oneOf": [{"type": "string", "pattern": pattern}, {"type": "integer", "minimum": 0, "maximum": 10**11}]
    }
    return either


@extend_schema_field(amount_schema(places=2))
class AmountField(serializers.Field[Any, Any, Any, Any]):
    """An amount as it was written, for the domain to read; a text, or a whole number.

    A JSON number with a fraction is binary by the time it is here; what the caller meant cannot be known.
    """

    def to_internal_value(self, data: Any) -> str | int:
        if not isinstance(data, str | int) or isinstance(data, bool) or data == "":
            raise serializers.ValidationError(f'`{self.field_name}` must be a string such as "20.00".')
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(amount_schema(places=8))
class ExactAmountField(AmountField):
    """The same to 8 decimals."""


class KnownFields(Base):
    """For a serializer: refuses fields that it does not have, and values of another JSON type than the field's."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            wrong = unknown(data, [name for name, field in self.fields.items() if not field.read_only])
            wrong |= {name: ["This is ours to say: leave it out."] for name in wrong if name in self.fields}
            for name, value in data.items():
                if words := _unlike(self.fields.get(name), value):
                    wrong[name] = [words]
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


def unknown(data: Mapping[Any, Any], fields: Collection[str], *, what: str = "field") -> dict[str, list[str]]:
    """The names in a body that are none of these fields, each with what is wrong and which field may be meant."""
    wrong = {}
    for number, name in enumerate(sorted(set(data) - set(fields))):
        # Likeness takes time by the product of lengths.
        near = get_close_matches(name[:MOST_NAME], fields, n=1) if number < MOST_LIKENED else []
        wrong[name] = [f"There is no such {what}." + (f" Did you mean `{near[0]}`?" if near else "")]
    return wrong


class SaysWhatIsRead(BasePermission):
    """DRF, after the permission itself: what changes something is refused where it says what nobody reads.

    That is a parameter in the address that is not in the view's `taken_in_query` for the method, and a body with
    DELETE: whoever writes `keeps=7` there means to keep a key. To read, parameters that there are not do no harm.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        method = str(request.method)
        if method in SAFE_METHODS or method not in view.allowed_methods:
            return True
        taken = getattr(view, "taken_in_query", {}).get(method, ())
        if wrong := unknown(request.query_params, taken, what="parameter"):
            raise serializers.ValidationError(wrong)
        if method == "DELETE":
            refuse_fields(request)
        return True


def refuse_fields(request: Request) -> None:
    """For a request that takes no body, or an empty one. Raises `ValidationError`, which names the fields."""
    if isinstance(request.data, dict) and request.data:
        raise serializers.ValidationError(unknown(request.data, ()))


def _unlike(field: Any, value: Any) -> str:
    """Why a value is not of the field's JSON type, or ""; DRF takes `5` for a text and `"yes"` for a true."""
    if field is None or field.read_only or value is None:
        return ""
    if isinstance(field, serializers.ListField):
        items = value if isinstance(value, list) else []
        return next((words for item in items if (words := _unlike(field.child, item))), "")
    if isinstance(field, TEXTS) and not isinstance(value, str):
        return "This is a text."
    if isinstance(field, serializers.BooleanField) and not isinstance(value, bool):
        return "This is true or false."
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(field, serializers.IntegerField) and not (is_number and value == value // 1):
        return "This is a whole number."
    return ""
