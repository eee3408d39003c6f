"""The rows of the table in `schemes.py`, by the sort of provider; beside each the page that it was written from."""
