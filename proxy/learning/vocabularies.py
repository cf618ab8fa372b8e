"""By which vocabulary a model counts, known by its name; only those that a package brings along. Pure.

The names are those of tiktoken's table. Whoever serves it, a model keeps its vocabulary. Of a model
whose name tells none what was learned goes instead.
"""

import re
from functools import cache

O200K, CL100K = "o200k_base", "cl100k_base"
NAMES = (
    (re.compile(r"(chatgpt-4o|gpt-4o|gpt-4\.[1-9]|gpt-5|gpt-oss|o[134])(?![a-z0-9])"), O200K),
    (re.compile(r"gpt-(4|3\.5|35)(?![a-z0-9.])"), CL100K),
)


@cache
def vocabulary_of(slug: str) -> str:
    """ "" where it is not known."""
    name = slug.rpartition("/")[2].lower()
    return next((vocabulary for names, vocabulary in NAMES if names.match(name)), "")
