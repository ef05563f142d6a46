"""The service: a supervisor, its launcher, and one worker process per monitoring context.

==============  =====================================================================================
spec.py         what a worker needs to know, as plain data
config.py       the configuration file
runtime_dir.py  the directory of the sockets: made, checked, locked
link.py         the pipe between supervisor, launcher and worker
launcher.py     a small process that forks the workers and reads no socket
worker.py       one kdamond and its publisher
handle.py       a worker as the supervisor sees it
journal.py      standard error that never blocks
hub.py          forwards the stream and keeps the newest message of every topic
supervisor.py   starts and stops contexts
control.py      answers requests
serve.py        `damond serve`: supervisor, control and signals in one asyncio loop
embedded.py     a supervisor inside another program
==============  =====================================================================================
"""
