"""``damond serve``: run the service that other programs subscribe to."""

import asyncio
import logging
from pathlib import Path

import click

from damond.cli import options
from damond.plugin import Registry
from damond.service import config, logs
from damond.service.serve import Service
from damond.stream.endpoints import default_runtime_dir


@click.command("serve")
@click.option(
    "--config", "path", type=click.Path(path_type=Path, readable=False), required=True, help="The configuration, TOML."
)
@options.runtime_dir
def command(path: Path, runtime_dir: Path | None) -> None:
    """Run the supervisor in the foreground with the contexts of a configuration file.

    SIGTERM and Ctrl-C end it: every context is stopped, and delivers what it has counted. SIGHUP reads the
    configuration again. Each change in the life of a context is a line on standard error.
    """
    # -v, which has set the level of the root logger by now, can only make it tell more.
    logs.configure(min(logging.INFO, logging.getLogger().level))
    loaded = config.load(path)
    registry = Registry(allowed=loaded.service.plugins)
    directory = runtime_dir or loaded.service.runtime_dir or default_runtime_dir()

    def ready(stream: str) -> None:
        click.echo(f"damond: serving {len(loaded.context)} contexts on {stream}", err=True)

    asyncio.run(Service(path, loaded, registry, directory).run(ready))
