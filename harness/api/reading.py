"""One place that turns whatever goes wrong while a data file is read into one message about that file."""

import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.api.errors import DataError, HarnessError

LONGEST_REASON = 300
"""Characters of a library's own words that a message keeps."""

CUT_SHORT = ("truncated", "ended before", "unexpected end", "eof marker")
"""What libraries say of a file that ends too early."""

ANSWERS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (PermissionError, "may not be read ({reason}); mend its permissions"),
    (FileNotFoundError, "missing ({reason}); bring it, or correct its name"),
    ((IsADirectoryError, NotADirectoryError), "is no file ({reason}); put the file in its place"),
    (MemoryError, "asks for more memory than there is ({reason}); if its header is damaged, get the file again"),
    ((gzip.BadGzipFile, zlib.error, lzma.LZMAError), "cannot be read, damaged ({reason}); get the file again"),
)
OTHERWISE = "cannot be read by this reader ({reason}); get the file again, or write it anew where it can be read"
TRUNCATED = "cannot be read, truncated ({reason}); get the file again"


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn whatever a reader raises in here into a `DataError` about `path`, so that other files can still be checked.

    It says what is wrong and what helps. An error of the harness's own passes as it is.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:  # a library on damaged bytes raises anything
        raise DataError(f"{path}: {explain(error)}") from error


def explain(error: Exception) -> str:
    """What is wrong with a file and what helps, in one line; only what ends too early is called truncated."""
    reason = one_line(str(error))
    if isinstance(error, EOFError) or any(words in reason.lower() for words in CUT_SHORT):
        return TRUNCATED.format(reason=reason)
    for kinds, answer in ANSWERS:
        if isinstance(error, kinds):
            return answer.format(reason=reason or type(error).__name__)
    return OTHERWISE.format(reason=f"{type(error).__name__}: {reason}" if reason else type(error).__name__)


def one_line(text: str) -> str:
    """Foreign text as a message may hold it: one line of printable characters, not too long."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
