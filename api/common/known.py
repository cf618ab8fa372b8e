"""Fields that there are: a slip in a name would silently leave something as it is, such as a limit or an overlap."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = object


class KnownFields(Base):
    """For a serializer: refuses fields that it does not have."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError({unknown[0]: ["There is no such field."]})
        return super().to_internal_value(data)
