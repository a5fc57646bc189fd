"""Records and statistics -> one static page that opens from a file, without server or network."""

from harness.report.page import write_page

__all__ = ["write_page"]
