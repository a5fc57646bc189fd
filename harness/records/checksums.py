"""Checksums inside text records, so that a damaged byte is never read as a number.

A JSON record begins with the start of the sha256 of all that follows it, a line of a log with its CRC-32, and a suite's
text ends with the sha256 of the lines above. They guard against damage and mistakes, not against malice.
"""

import hashlib
import re
import struct
import zipfile
import zlib
from pathlib import Path

SEAL_DIGITS = 16
"""Of a sha256 in a record. No damage passes 64 bits, and all 256, which nothing packs, made a tenth of an archive."""

RECORD_SEAL = re.compile(rb'\{\s*"sha256": "([0-9a-f]{16,64})",')
LINE_SEAL = re.compile(rb'\{"crc32":"([0-9a-f]{8})",')
TEXT_SEAL = re.compile(rb"# sha256 of the lines above: ([0-9a-f]{64})\n\Z")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def short_sha256(content: bytes) -> str:
    return sha256(content)[:SEAL_DIGITS]


def agrees(content: bytes, checksum: str) -> bool:
    """Whether its sha256 begins with that checksum, of as many digits or more as records have."""
    return len(checksum) >= SEAL_DIGITS and sha256(content).startswith(checksum)


def seal_record(text: str) -> str:
    """Put a JSON object's checksum into its first field; it ends with a newline."""
    rest = text.removeprefix("{") + "\n"
    return f'{{\n "sha256": "{short_sha256(rest.encode())}",{rest}'


def open_record(content: bytes) -> bytes | None:
    """The JSON object without its checksum. None where the checksum is absent or another's."""
    seal = RECORD_SEAL.match(content)
    rest = content[seal.end() :] if seal else b""
    return b"{" + rest if seal and agrees(rest, seal[1].decode()) else None


def seal_line(text: str) -> bytes:
    """Put the checksum of a JSON object on one line into its first field; it ends with a newline."""
    rest = (text.removeprefix("{") + "\n").encode()
    return b'{"crc32":"%08x",' % zlib.crc32(rest) + rest


def open_line(line: bytes) -> bytes | None:
    """The same of a whole line, newline included."""
    seal = LINE_SEAL.match(line)
    rest = line[seal.end() :] if seal else b""
    return b"{" + rest if seal and b"%08x" % zlib.crc32(rest) == seal[1] else None


def seal_text(text: str) -> str:
    """Put the checksum of a suite's text below it, as a comment."""
    text = text if text.endswith("\n") else text + "\n"
    return f"{text}# sha256 of the lines above: {sha256(text.encode())}\n"


def open_text(content: bytes) -> str | None:
    """The same of a suite's text."""
    seal = TEXT_SEAL.search(content)
    text = content[: seal.start()] if seal else b""
    return text.decode("utf-8", "replace") if seal and sha256(text).encode() == seal[1] else None


def refuse_damaged_zip(path: Path) -> None:
    """Read all members of a zip file, as torch.save writes one. Raises `BadZipFile` for one without its checksum.

    torch.load does not compare these checksums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    # what zipfile raises for a flipped bit in names, sizes, flags and methods
    except (ValueError, EOFError, NotImplementedError, RuntimeError, struct.error, zlib.error) as error:
        raise zipfile.BadZipFile(str(error)) from None
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} does not have its checksum")
