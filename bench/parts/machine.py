"""What the measurements ran on, and what else ran there meanwhile."""

import os
import platform
import subprocess


def describe():
    """The machine, in words."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "memory_gib": memory,
        "kernel": f"{platform.system()} {platform.release()}",
        "commit": said(["git", "rev-parse", "--short", "HEAD"]),
        "rustc": said(["rustc", "--version"]),
        "docker": said(["docker", "--version"]),
        "curl": said(["curl", "--version"]).split("\n")[0],
        "python": platform.python_version(),
        "open_files": said(["sh", "-c", "ulimit -Hn"]),
    }


def said(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "none"


class Load:
    """How busy the processors were with other work than this session's, from now on."""

    def __init__(self):
        self.busy, self.total = processors()
        self.own = session()

    def others(self):
        """Their share, from 0 to 1; and the load average."""
        busy, total = processors()
        rest = max(0, busy - self.busy - (session() - self.own))
        return {"others": round(rest / max(1, total - self.total), 3), "load": os.getloadavg()[0]}


def processors():
    with open("/proc/stat") as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    idle = times[3] + times[4]
    return sum(times) - idle, sum(times)


def session():
    """Ticks on the processor of this process, its children, and those that it has waited for."""
    parents, ticks = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(entry)] = int(fields[1])
        ticks[int(entry)] = sum(map(int, fields[11:15]))
    ours, total = os.getpid(), 0
    for process in parents:
        ancestor = process
        while ancestor not in (0, ours):
            ancestor = parents.get(ancestor, 0)
        total += ticks[process] if ancestor == ours else 0
    return total
