"""A real SLURM of one node on this machine, all of its files in one folder.

The node has all cores and one GPU that is none: a generic resource whose device file is another
null device. No accounting, no control groups. Needs root, and Debian's packages.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
CONFIGURATION = Path("/etc/slurm/slurm.conf")
"""Where job steps of Snakemake look for it: they drop the variable that could name another."""

PORT = 26817
SETTINGS = """\
ClusterName=adscale-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket,cred_expire=10
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/slurmd
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
MinJobAge=3600
KillWait=5
OverTimeLimit=0
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:1 Feature=here
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def install() -> str | None:
    """Installs SLURM where it is missing.

    Returns:
        Why that cannot be; None: it is there.
    """
    if os.geteuid() != 0:
        return "a SLURM of one's own takes root"
    if CONFIGURATION.is_symlink() and not CONFIGURATION.exists():
        CONFIGURATION.unlink()  # of a test that was killed
    if CONFIGURATION.exists():
        return f"{CONFIGURATION} is there: this machine belongs to a cluster, or a test runs"
    if all(shutil.which(program) for program in ("munged", "slurmctld", "slurmd", "sbatch")):
        return None
    if shutil.which("apt-get") is None:
        return f"no SLURM here, and no apt-get to install {' '.join(PACKAGES)}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        return f"{' '.join(PACKAGES)} cannot be installed ({done.stderr.strip()[-200:]})"
    return None


class Cluster:
    """The daemons, and what they are asked.

    Args:
        folder: for all their files; of a short path, which a socket needs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._host = socket.gethostname().partition(".")[0]

    def start(self) -> None:
        """Starts authentication, controller and node."""
        self._configure()
        munge = self.folder / "munge"
        options = {
            "key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid",
            "log-file": "munged.log", "seed-file": "munged.seed",
        }  # fmt: skip
        _run("munged", "--force", *(f"--{name}={munge / file}" for name, file in options.items()))
        _wait(lambda: _succeeds("munge", f"--socket={munge / 'munge.socket'}", "-n"))
        _run("slurmctld", "-f", str(self.folder / "slurm.conf"))
        _wait(lambda: _succeeds("scontrol", "ping"))
        self.start_node()

    def start_node(self) -> None:
        """Starts the node and waits until it takes jobs."""
        _run("slurmd", "-f", str(self.folder / "slurm.conf"))
        _wait(lambda: self.node_state() in {"idle", "mixed", "allocated"})

    def switch_off_node(self) -> None:
        """Kills the node's daemon and all jobs on it, as when the machine loses its power."""
        _end(self.folder / "slurmd.pid", "slurmd", signal.SIGKILL)
        for pid in _with_descendants(_named("slurmstepd")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ends every daemon that was started, by its own process number."""
        _end(self.folder / "slurmd.pid", "slurmd", signal.SIGTERM)
        _end(self.folder / "slurmctld.pid", "slurmctld", signal.SIGTERM)
        _end(self.folder / "munge" / "munged.pid", "munged", signal.SIGTERM)
        if CONFIGURATION.is_symlink() and CONFIGURATION.readlink() == self.folder / "slurm.conf":
            CONFIGURATION.unlink()

    def node_state(self) -> str:
        """As SLURM names it."""
        return _run("sinfo", "-h", "-o", "%t").strip()

    def jobs(self) -> list[dict[str, str]]:
        """What SLURM says of each job there was, such as JobState, Comment, StartTime."""
        lines = _run("scontrol", "show", "job", "--oneliner").splitlines()
        return [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]

    def _configure(self) -> None:
        for name in ("munge", "ctld", "slurmd"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge" / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        settings = SETTINGS.format(
            host=self._host, port=PORT, node_port=PORT + 1, folder=self.folder,
            cpus=os.cpu_count(), memory_mb=memory_bytes // 2**20 - 512,
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(settings)
        gpu = self.folder / "gpu0"
        os.mknod(gpu, 0o666 | 0o020000, os.makedev(1, 3))
        (self.folder / "gres.conf").write_text(
            f"AutoDetect=off\nNodeName={self._host} Name=gpu File={gpu}\n"
        )
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.symlink_to(self.folder / "slurm.conf")


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster that ends with the block, whatever happens in it."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "SLURM did not start; see the logs in its folder"
        time.sleep(0.2)


def _end(pid_file: Path, program: str, how: signal.Signals) -> None:
    """Ends a daemon, if that number is still that very program's."""
    if not pid_file.is_file():
        return
    pid = int(pid_file.read_text())
    pid_file.unlink()
    if _command(pid) != program:
        return
    for number in (how, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 10
        while _command(pid) == program:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return


def _named(program: str) -> list[int]:
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in numbers if _command(pid) == program]


def _with_descendants(pids: list[int]) -> list[int]:
    children = []
    for pid in pids:
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                children += [int(number) for number in file.read_text().split()]
    return [*pids, *(_with_descendants(children) if children else [])]


def _command(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
