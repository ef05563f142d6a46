"""The full-screen view of ``damond watch``: what is known, the panels that show it, and the application around them."""
