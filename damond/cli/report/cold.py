"""``damond report cold``: the coldest pieces of memory."""

from damond.cli.report import bars, pieces

command = pieces.command(
    pieces.Order(kind="cold", words="the coldest memory", sort=lambda found: found.coldest(), figure=bars.coldest),
    """List the coldest pieces of memory: by the time since their last access, then by size.

    "All the time" is idle in the whole span; of what is marked with a question mark, too little was looked at to call
    it cold. Neighbours that are alike in the same mapping are one piece.
    """,
)
