"""``damond report hot``: the hottest pieces of memory."""

from damond.cli.report import bars, pieces

command = pieces.command(
    pieces.Order(kind="hot", words="the hottest memory", sort=lambda found: found.pieces, figure=bars.hottest),
    """List the hottest pieces of memory: by heat, averaged over the span.

    Neighbours of about the same heat (less than 10 % of the samples apart) in the same mapping are one piece.
    """,
)
