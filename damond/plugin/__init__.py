"""What a plugin is written against: hooks, the API version, and the schema of options."""

from damond.plugin.hookspecs import API_VERSION, hookimpl
from damond.plugin.options import option, parse_options
from damond.plugin.registry import PluginReport, Registry

__all__ = ["API_VERSION", "PluginReport", "Registry", "hookimpl", "option", "parse_options"]
