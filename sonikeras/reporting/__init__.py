"""A study's findings as a page."""
