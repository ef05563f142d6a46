"""The stream: the wire format, who writes it and who reads it."""
