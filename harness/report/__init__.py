"""Records and statistics -> one static page that opens from a file, without server or network."""

from harness.report.page import PageSettings, write_page

__all__ = ["PageSettings", "write_page"]
