"""``damond monitor``: watch a program, a process or the whole machine, live."""

import click

from damond.cli import options, output, own
from damond.cli.interrupts import Interrupts
from damond.cli.live import can_draw
from damond.cli.monitoring import Monitoring
from damond.cli.program import Program
from damond.errors import NoSuchProcessError
from damond.plugin import Registry


@click.command("monitor", cls=own.Command)
@click.argument("pids", nargs=-1, type=options.Pid(), metavar="PID")
@own.asked
@click.option("--whole", is_flag=True, help="Draw all addresses in the heat map at the end, not just the hottest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per snapshot, a line each.")
@click.pass_context
def command(ctx: click.Context, pids: tuple[int, ...], asked: own.Asked, *, whole: bool, as_json: bool) -> int:
    """Watch which memory a program touches, until it ends, or Ctrl-C.

    Monitors processes by PID, a COMMAND that it starts, or (with a primitive that needs no process, such as physical)
    the machine. Ends with a heat map over time and address, and how much of the memory was touched.
    """
    line: list[str] = ctx.meta.get("damond.command", [])
    registry = Registry()
    asked.check(registry, pids, line)
    hidden = not as_json and can_draw(output.console())
    interrupts = Interrupts()  # before there is a command that would have to be ended
    with Program(line, hidden=hidden, to_stderr=as_json) as program:
        spec = asked.spec(own.name_of(line, "monitor"), (program.pid,) if program.pid is not None else pids)
        title = f"{' '.join(line)} (pid {program.pid})" if line else ""
        title = title or ", ".join(f"pid {pid}" for pid in pids) or asked.primitive
        monitoring = Monitoring(spec, title, interrupts, as_json=as_json, span_us=asked.span_us, whole=whole)
        try:
            monitoring.run(registry)
        except NoSuchProcessError as error:
            raise (program.ended_too_soon() or error) from None
    return program.status
