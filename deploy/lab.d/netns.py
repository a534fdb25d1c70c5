"""Network namespaces: running things in them.

`ip netns exec` would hide /sys/fs/bpf, so commands enter with nsenter, which changes the network namespace alone.
"""

import contextlib
import os
import pathlib
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from model import LabError

RUN = pathlib.Path("/run/netns")


def enter(netns: str) -> list[str]:
    return ["nsenter", f"--net={RUN / netns}", "--"]


def exists(netns: str) -> bool:
    return (RUN / netns).exists()


def run(command: list[str], stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        what = " ".join(command)
        raise LabError(f"{what}: {done.stderr.strip() or done.stdout.strip()}" + (f"\n{stdin}" if stdin else ""))
    return done.stdout


def ip_batch(netns: str | None, lines: list[str]) -> None:
    if lines:
        run((enter(netns) if netns else []) + ["ip", "-batch", "-"], "\n".join(lines) + "\n")


@contextlib.contextmanager
def inside(netns: str):
    """The calling thread is in the namespace meanwhile."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    target = os.open(RUN / netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.setns(target, os.CLONE_NEWNET)
        yield
    finally:
        os.setns(own, os.CLONE_NEWNET)
        os.close(target)
        os.close(own)


def sysctl(netns: str, settings: dict[str, object]) -> None:
    with inside(netns):
        for key, value in settings.items():
            pathlib.Path("/proc/sys/net", key).write_text(str(value))


def http_get(netns: str, url: str, timeout: float = 1.0) -> tuple[int, str]:
    """Status and body; status 0 and the reason when there is no answer."""
    with inside(netns):
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)


def processes_in(namespaces: list[str]) -> list[int]:
    """Every process whose network namespace is one of these."""
    inodes = {(RUN / n).stat().st_ino for n in namespaces if exists(n)}
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry.name}/ns/net").st_ino in inodes:
                    found.append(int(entry.name))
    return found


def each(function, items, workers: int = 8) -> list:
    """Calls in parallel; the first error is raised."""
    items = list(items)
    if not items:
        return []
    with ThreadPoolExecutor(min(workers, len(items))) as pool:
        return list(pool.map(function, items))
