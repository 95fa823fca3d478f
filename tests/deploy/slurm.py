"""A SLURM of one node on loopback, without munge and without root's help."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.jobs.clusters import until

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol")
_CONF = """\
ClusterName=covdist
SlurmctldHost={host}(127.0.0.1)
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MailProg=/bin/true
"""


def missing() -> list[str]:
    """Return the programs of SLURM that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin"


def _ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return [first.getsockname()[1], second.getsockname()[1]]


@contextmanager
def slurm(place: Path) -> Iterator[dict[str, str]]:
    """Yield the environment in which sbatch finds a controller and a node."""
    for folder in ("state", "spool"):
        (place / folder).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    conf = place / "slurm.conf"
    conf.write_text(_CONF.format(host=host, user=getpass.getuser(), ports=_ports(), place=place))
    found = {**os.environ, "PATH": _path(), "SLURM_CONF": str(conf)}
    commands = ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]
    with (place / "said.txt").open("w") as said:
        daemons = [subprocess.Popen(command, env=found, stdout=said, stderr=said) for command in commands]
    try:
        until(lambda: "State=IDLE" in ask(found, "scontrol", "show", "node"))
        yield found
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def ask(environment: dict[str, str], *words: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr
