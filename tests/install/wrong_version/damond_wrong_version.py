"""A plugin that was written for another version of the contract."""

damond_api_version = 99
