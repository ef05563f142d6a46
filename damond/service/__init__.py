"""The service: a supervisor, its launcher, and one worker process per monitoring context.

===================  ================================================================================
spec.py              what a worker needs to know, as plain data
config.py            the configuration file
reload.py            going from one configuration to another
runtime_dir.py       the directory of the sockets: made, checked, locked
privileges.py        whom the supervisor becomes; which capabilities a process has
link.py              the pipe between supervisor, launcher and worker
launcher.py          a small process that forks the workers and reads no socket
launch.py, spawn.py  the launcher as the supervisor sees it; its process
worker.py            one kdamond and its publisher
targets.py           which targets of a worker have come or gone
handle.py            a worker as the supervisor sees it
requests.py          what a running worker is asked, and its answers
ending.py            makes a worker end
health.py            whether a worker is healthy
restart.py           when a worker that died is started again
life.py              the state of a context, and its events
managed.py           a context and its worker
processes.py         the processes of the machine
selector.py          which processes a context watches
follow.py            keeps the targets of running contexts up to date
journal.py, logs.py  standard error that never blocks; what is written there
hub.py               forwards the stream and keeps the newest message of every topic
contexts.py          the contexts by name
supervisor.py        starts and stops contexts
status.py            what `status` tells
protocol.py          what a request is
verbs.py             what can be asked
control.py           answers requests; the protocol is described here
connections.py       who is connected to this process, as the kernel knows it
readers.py           who does not keep up; who holds too many connections
lost.py              what readers say they have lost
authorized.py        keys of the clients that may come in over the network
remote.py            stream and requests over the network
notify.py            telling systemd how the service is
serve.py             `damond serve`: supervisor, control and signals in one asyncio loop
embedded.py          a supervisor inside another program
===================  ================================================================================
"""
