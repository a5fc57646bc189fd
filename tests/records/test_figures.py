import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from harness.api.errors import RecordError
from harness.records.artifacts import CAPTION, MAX_BYTES, Figure, read_figures, write_figures


def png(caption="", size=(4, 3), padding=0):
    texts = PngImagePlugin.PngInfo()
    if caption:
        texts.add_text(CAPTION, caption)
    if padding:
        texts.add(b"prVt", bytes(padding))
    file = io.BytesIO()
    Image.new("L", size, 200).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def test_they_come_back_by_name_with_their_captions(tmp_path):
    pictures = {"b": png("two μ"), "a-1": png()}
    write_figures(tmp_path / "figures", pictures)
    assert read_figures(tmp_path / "figures") == (
        Figure("a-1", pictures["a-1"], "a-1"),
        Figure("b", pictures["b"], "two μ"),
    )
    assert read_figures(tmp_path / "absent") == ()
    (tmp_path / "figures" / ".b.png.tmp").write_bytes(b"half a write")
    assert len(read_figures(tmp_path / "figures")) == 2


def bomb():
    """A short file that declares 30,000 x 30,000 pixels."""
    good = png()
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]


UNFIT = {
    "text": (b"<svg onload=alert(1)>", "not a PNG"),
    "cut off": (png()[:-20], "not a PNG"),
    "damaged": (png()[:-20] + b"xxxx" + png()[-16:], "not a PNG"),
    "a bomb": (bomb(), "pixels|bomb"),
}


@pytest.mark.parametrize(("content", "message"), UNFIT.values(), ids=UNFIT)
def test_what_is_no_figure_is_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_figures(tmp_path, {"a": content})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RecordError, match=rf"a\.png: not a figure of a run.*({message})"):
        read_figures(tmp_path)


@pytest.mark.parametrize("name", ["../a", "x" * 61])
def test_a_name_that_is_no_file_name_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="no name of a figure"):
        write_figures(tmp_path, {name: png()})


def test_together_they_have_a_limit(tmp_path):
    half = png(padding=MAX_BYTES // 2)
    with pytest.raises(ValueError, match="more than a record holds"):
        write_figures(tmp_path, {"a": half, "b": half})
    for name in "ab":
        write_figures(tmp_path, {name: half})
    with pytest.raises(RecordError, match="bytes are more than the figures of a run hold"):
        read_figures(tmp_path)
