"""The key in a request's headers: the same three headers on every path."""


class TwoKeys(ValueError):
    """A request that names two different keys."""


def key_text(*, authorization: str, x_api_key: str, x_goog_api_key: str) -> str:
    """The one key that the headers name, or ""; raises `TwoKeys` for two different ones."""
    scheme, _, token = authorization.partition(" ")
    named = {text for text in (token.strip() if scheme.lower() == "bearer" else "", x_api_key, x_goog_api_key) if text}
    if len(named) > 1:
        raise TwoKeys
    return named.pop() if named else ""
