"""Talking to a running supervisor, from Python.

::

    from damond.client import Client, subscribe

    print(Client().status()["nr_running"])

    for snapshot in subscribe("web"):  # or: async for
        print(snapshot.accessed_bytes, snapshot.origin.missed)
"""

from damond.client.asking import MAX_REQUEST_SZ, VERSION, Client
from damond.client.remote import Remote, check_reachable
from damond.client.subscription import Subscription, subscribe
from damond.core import Snapshot, Summary
from damond.stream.welcome import Welcome
from damond.stream.wire import Event

__all__ = [
    "MAX_REQUEST_SZ",
    "VERSION",
    "Client",
    "Event",
    "Remote",
    "Snapshot",
    "Subscription",
    "Summary",
    "Welcome",
    "check_reachable",
    "subscribe",
]
