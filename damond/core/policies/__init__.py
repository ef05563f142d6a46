"""The policies that damond brings."""
