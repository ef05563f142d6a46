"""``damond web``: the live views and the record as one page, over HTTP and a WebSocket (extra ``web``)."""

from damond.web.app import make_app
from damond.web.guard import Access

__all__ = ["Access", "make_app"]
