"""Addresses of pictures and documents that come from another protocol's path, which counts no sound and no film."""

from proxy.protocols.base import BadRequest
from proxy.protocols.openai.chat.asked.media import unit_at
from proxy.protocols.translate.decoding import not_carried
from proxy.protocols.translate.form import File, Image

WEB = "It may be a picture or a document at an http or https address."


def address_of(part: Image | File) -> str:
    """Where it is; raises `Untranslatable` for what this protocol's own paths do not take, or price apart."""
    try:
        unit = unit_at(part.url, place=part.place)
    except BadRequest:
        raise not_carried(part.place, WEB) from None
    if unit is not None:
        raise not_carried(part.place, WEB)
    return part.url
