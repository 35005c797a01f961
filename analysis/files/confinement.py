"""What a process that reads files of strangers takes from itself: the network, memory, time.

``python -m analysis.files.confinement MODULE ARGUMENTS`` leaves the network and then runs a module:
the kernel asks for a process that has not started a thread yet.
"""

from __future__ import annotations

import ctypes
import os
import resource
import runpy
import sys
from pathlib import Path
from typing import Any

import psutil

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NETWORK_EVENTS = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "ssl.")
_PROCESS = Path("/proc/self")


def leave_network() -> bool:
    """Take the network from this process for good, and return whether the kernel did.

    Linux gives the process a network of its own that holds nothing, not even a way to this machine.
    Where the kernel does not allow that (some containers, other systems), Python's own sockets are
    refused alone.
    """
    sys.addaudithook(_refuse_network)
    if sys.platform != "linux":
        return False
    user, group = os.getuid(), os.getgid()
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    if unshare(_CLONE_NEWNET) == 0:
        return True
    if unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    try:  # be the same user as before, by name too: owners of files are compared
        _PROCESS.joinpath("setgroups").write_text("deny")
        _PROCESS.joinpath("uid_map").write_text(f"{user} {user} 1")
        _PROCESS.joinpath("gid_map").write_text(f"{group} {group} 1")
    except OSError:
        pass
    return True


def limit_address_space(more: int) -> None:
    """Let this process take so many bytes more than it has; leave no core file."""
    most = psutil.Process().memory_info().vms + more
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_processor_time(more: int) -> None:
    """Let this process compute for so many seconds more; then the system ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + more
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _refuse_network(event: str, _arguments: tuple[Any, ...]) -> None:
    if event.startswith(_NETWORK_EVENTS):
        raise PermissionError("a process that reads files of strangers has no network")


if __name__ == "__main__":
    leave_network()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
