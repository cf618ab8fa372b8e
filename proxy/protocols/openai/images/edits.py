"""`POST /v1/images/edits`: pictures to others, by a text. They come as files of a form, or as addresses in JSON.

https://platform.openai.com/docs/api-reference/images/createEdit .
"""

from collections.abc import Mapping

from proxy.models import Protocol
from proxy.protocols.endpoint import Asked, Dialect
from proxy.protocols.openai.images.asked import ImageCall, read_edit, read_edit_form
from proxy.protocols.openai.images.drawn import Edited
from proxy.protocols.openai.images.generations import ImageGenerations


class ImageEdits(ImageGenerations):
    path = "/v1/images/edits"
    takes_forms = True
    dialects: Mapping[str, Dialect[ImageCall]] = {Protocol.OPENAI.value: Edited()}

    def read(self, asked: Asked) -> ImageCall:
        return read_edit(asked.body) if asked.form is None else read_edit_form(asked.form)
