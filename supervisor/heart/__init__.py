"""Heart: the tiny process that owns the listening sockets and restarts the supervisor.

Heart's own modules import the standard library alone and run under `python -I -S`, so that no
package of the environment, and no file of the folder it is started in, can break them. They use
named tuples and not dataclasses: `dataclasses` imports `inspect`, which costs 2 MB of a process
that is to have less than 12. `launch`, `notifier` and `revive` are the supervisor's side of the
same contract; heart doesn't load them.
"""
