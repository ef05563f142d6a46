"""What ``damond report`` tells of a subject: a module each, with a function ``measure`` that gives numbers."""
