"""Views of records for people: pictures and pages, rebuilt from the records at any time."""
