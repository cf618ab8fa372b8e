"""What a request for pictures asks: how many, of which size and quality, made of a text and of other pictures."""

import msgspec

from core.records import value
from proxy.prices.bounds import wide_bytes
from proxy.protocols.base import BadRequest
from proxy.protocols.openai.asking import fields_of, flag_of, model_of, rest_of, text_of, word_of
from proxy.protocols.openai.forms import FormCall, FormFields, texts_of
from proxy.protocols.reading import Fields
from proxy.protocols.steering import refuse_steering
from proxy.uploads.form import Form

MOST_PICTURES, MOST_PARTIAL, MOST_EDITED = 10, 3, 16
TERMS = ("size", "quality", "resolution")
"""What the price of a picture may go by."""
OTHER_SIZES = frozenset(
    {
        *("width", "height", "image_size", "aspect_ratio", "num_images", "num_images_per_prompt", "batch_size"),
        *("batch_count", "n_images", "megapixels", "frame_count", "frame_duration_ms", "svg"),
    }
)
"""How other servers name a size or a number, and what makes several pictures of one, or asks another model: what they
read would not be what was held."""
EDITED = frozenset({"image", "images", "image_url", "mask", "input_image", "markup"})
"""How servers name what is edited."""
MOVING = frozenset({"gif", "svg"})
"""Of `output_format`: many frames, and what a second model writes, billed by itself."""
LITERALS = frozenset({"n", "stream", "partial_images"})
READ = frozenset({"model", "prompt", "background", "output_format", *LITERALS, *TERMS, *OTHER_SIZES, *EDITED})
FILES = frozenset({"image", "image[]", "mask", "markup"})
ADDRESSES = ("https://", "http://", "data:image/")


@value
class ImageCall(FormCall):
    """`words` are bytes of the prompt; `partial` pictures come before each of the `choices`; `edited` are those that
    it brings, with a mask.
    """

    words: int = 0
    wide: int = 0
    partial: int = 0
    edited: int = 0
    has_tokens: bool = False
    """Tokens are charged beside the pictures."""


def read_made(raw: bytes) -> ImageCall:
    """Of a text. Raise `BadRequest` unless the body can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    return _read(body, refused=OTHER_SIZES | EDITED, rest=rest_of(body))


def read_edit(raw: bytes) -> ImageCall:
    """Of pictures at addresses, as JSON; raises `BadRequest`."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    images = body.items("images")
    if not images:
        raise BadRequest("`images` must be a list of pictures.", param="images")
    masks = [("mask", mask) for mask in [body.get("mask")] if mask is not None]
    for place, one in [*((f"images[{index}]", image) for index, image in enumerate(images)), *masks]:
        _check_address(place, one)
    _check_count(len(images), "images")
    return _read(
        body,
        refused=OTHER_SIZES | (EDITED - {"images", "mask"}),
        rest=rest_of(body),
        edited=len(images) + len(masks),
    )


def read_edit_form(form: Form) -> ImageCall:
    """Of pictures that were uploaded; raises `BadRequest`."""
    body = FormFields(form, known=READ | FILES, files=FILES, literals=LITERALS)
    one, several = form.named("image"), form.named("image[]")
    if bool(one) == bool(several):
        raise BadRequest("Send one picture as `image`, or several as `image[]`.", param="image")
    _check_count(len(several), "image[]")
    files = [part for part in form.parts if part.name in FILES]
    if empty := next((part.name for part in files if not len(part.data)), None):
        raise BadRequest(f"`{empty}` must be a file that is not empty.", param=empty)
    return _read(body, refused=OTHER_SIZES | EDITED, rest=texts_of(form), edited=len(files), form=form)


def _read(
    body: Fields, *, refused: frozenset[str], rest: bytes, edited: int = 0, form: Form | None = None
) -> ImageCall:
    if found := sorted(refused.intersection(body.members)):
        raise BadRequest(f"`{found[0]}` is not on offer here.", param=found[0])
    prompt = text_of(body, "prompt")
    if not prompt:
        raise BadRequest("`prompt` must be a text.", param="prompt")
    words = bytes(body.members["prompt"])
    terms = {name: word for name in TERMS if (word := word_of(body, name)) not in (None, "auto")}
    word_of(body, "background")  # elsewhere a flag for work that is done later
    if word_of(body, "output_format") in MOVING:
        raise BadRequest("`output_format` may be png, jpeg or webp.", param="output_format")
    is_stream = flag_of(body, "stream")
    count = body.whole("n", least=1, most=MOST_PICTURES) or 1
    if is_stream and count > 1:
        raise BadRequest("`n` must be 1 in a stream.", param="n")
    partial = body.whole("partial_images", least=0, most=MOST_PARTIAL) or 0
    return ImageCall(
        model=model_of(body),
        stream=is_stream,
        choices=count,
        rest=rest,
        asked=terms or None,
        words=len(words),
        wide=wide_bytes(words),
        partial=partial,
        edited=edited,
        form=form or Form(),
    )


def _check_count(count: int, name: str) -> None:
    if count > MOST_EDITED:
        raise BadRequest(f"`{name}` may be at most {MOST_EDITED}.", param=name)


def _check_address(place: str, raw: msgspec.Raw) -> None:
    """A picture by its address or within it; what an account keeps at its provider (`file_id`) is nobody's here."""
    one = Fields(raw, known=frozenset({"image_url"}), place=place)
    if stranger := next((name for name in one.members if name != "image_url"), None):
        raise BadRequest(f"`{place}.{stranger[:100]}` is not on offer here.", param=f"{place}.{stranger[:100]}")
    address = text_of(one, "image_url")
    if address is None or not address.startswith(ADDRESSES):
        path = f"{place}.image_url"
        raise BadRequest(f"`{path}` must be an address at the web, or a picture within one (data:).", param=path)
