"""How explanations say a relation in a product's own words: which phrases a schema may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter

from kg.errors import DataError

LANGUAGES = ("en", "zh")
# Two nodes with one value; a relation along its edges; against them.
FORMS = ("share", "forward", "back")
SAID = ("a", "b", "via", "type", "relation", "bundle", "user")  # what a phrase may name


def check_phrases(
    phrases: object,
    edge: str,
    role: str,
) -> None:
    """Look at the phrases of an edge type: by language and form, over names in SAID.

    Args:
        phrases: What stands in the schema.
        edge: The edge type's name.
        role: The edge type's role; only relations have phrases.

    Raises:
        DataError: A phrase is none, or names what no explanation knows.
    """
    for key, text in _templates(phrases):
        where = f"edge type {edge!r}: phrases.{key}"
        if role != "relation":
            raise DataError(
                f"{where}: relations have phrases, and this is an edge of role {role}"
            )
        language, _, form = key.partition(".")
        known = language in LANGUAGES and form in FORMS
        if not known or not isinstance(text, str):
            raise DataError(
                f"{where} is no text by language ({', '.join(LANGUAGES)}) and form "
                f"({', '.join(FORMS)})"
            )
        _check_names(text, where)


def _check_names(text: str, where: str) -> None:
    try:
        named = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        unknown = named - set(SAID)
        if not unknown:
            text.format(**dict.fromkeys(SAID, ""))
    except (ValueError, LookupError, AttributeError) as error:
        raise DataError(f"{where}: {error}") from error
    if unknown:
        raise DataError(f"{where}: {{{min(unknown)}}} is none of {', '.join(SAID)}")


def _templates(phrases: object) -> Iterator[tuple[str, object]]:
    """("language.form", text) of each phrase, whatever stands there."""
    if not isinstance(phrases, Mapping):
        yield str(phrases), ""
        return
    for language, forms in phrases.items():
        if isinstance(forms, Mapping):
            for form, text in forms.items():
                yield f"{language}.{form}", text
        else:
            yield str(language), forms
