"""Hides what may be a secret in a tracking URI: where the URI is shown, and in what other programs say of it."""

import re
from urllib.parse import quote, unquote

HIDDEN = "***"
HOST = re.compile(r"(\[[\da-fA-F:.]+\]|[\w.-]*)(:\d*)?")
QUERY = re.compile(r"[\w.~-]+=[^&]*(&[\w.~-]+=[^&]*)*")
SECRET = re.compile(r"pass|pwd|token|secret|key|user|auth|sig|cred", re.IGNORECASE)
LONG = 8
"""Characters from which on a text hardly stands in a message by chance."""


def redact_uri(uri: str) -> str:
    """The URI without user, password, fragment and the values of its query."""
    scheme, user, place, query = _split(uri)
    place = place if _is_file(scheme) else re.sub("#.*", f"#{HIDDEN}", place)
    if QUERY.fullmatch(query):
        query = re.sub("=[^&]*", f"={HIDDEN}", query)
    elif query and not _is_file(scheme):
        query = HIDDEN
    return f"{scheme}{HIDDEN + '@' if user else ''}{place}{'?' + query if query else ''}"


def redact_text(text: str, uri: str) -> str:
    """A message of another program without the secrets of the URI.

    Long ones are hidden wherever they stand, short ones where they stand alone, so that no other word loses letters.
    """
    _, user, place, query = _split(uri)
    words = {user, *re.split("[:/@?#&=]", user), place.partition("#")[2], "" if QUERY.fullmatch(query) else query}
    for name, _, value in (part.partition("=") for part in query.split("&")):
        if SECRET.search(name) or len(value) >= LONG:
            words.add(value)
    text = text.replace(uri, redact_uri(uri))
    forms = {form for word in words for form in (word, unquote(word), quote(word, safe="")) if form}
    for form in sorted(forms, key=len, reverse=True):
        pattern = re.escape(form)
        text = re.sub(pattern if len(form) >= LONG else rf"(?<!\w){pattern}(?!\w)", HIDDEN, text)
    return text


def reason_of(error: Exception, uri: str) -> str:
    """The heart of an error: one line, without secrets of the URI."""
    text = redact_text(" ".join(str(error).split()) or type(error).__name__, uri)
    if uri.lower().startswith("http"):
        folder = re.search(r"\[Errno \d+\] ([^:'\"]+): '(/[^']*)'", text)
        plain = re.search(r"\[Errno -?\d+\] ([^'\")(]+)", text)
        if folder:
            mend = "if artifacts go to that folder of the server, start it with --serve-artifacts"
            return f"{folder[2]}: {folder[1]}; {mend}"
        if plain:
            return f"{plain[1].strip()}, no MLflow server answers there"
    return (text[:400] + " ..." if len(text) > 400 else text).rstrip(".")


def _split(uri: str) -> tuple[str, str, str, str]:
    """Scheme with ://, user with password, host with path, and query. Passwords may hold /, ? and @, unlike in a URL.

    In doubt a part belongs to the password.
    """
    head, separator, rest = uri.partition("://")
    scheme, rest = (head + separator, rest) if separator else ("", uri)
    place, _, query = rest.partition("?")
    if _is_file(scheme):
        return scheme, "", place, query
    host = re.split("[/#]", place)[0]
    if "@" in query and ("@" in place or not HOST.fullmatch(host) or not QUERY.fullmatch(query)):
        place, query = rest, ""
    user, _, place = place.rpartition("@")
    return scheme, user, place, query


def _is_file(scheme: str) -> bool:
    return scheme.lower().startswith("sqlite")
