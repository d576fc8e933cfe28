"""What the clients of bench/compare share: their arguments, and one JSON line for each measurement."""

import argparse
import json
import os
import resource
import time

IMAGE = "registry.sim:5000/app"
CONTAINER = "web"


def arguments(description, parallel):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--hosts-file", required=True, help="an address on each line, tcp://ADDRESS:PORT")
    parser.add_argument("--tls", help="directory with ca.pem, cert.pem, and key.pem")
    parser.add_argument("--work", default="list", help="what to do, separated by commas")
    parser.add_argument("--parallel", type=int, default=parallel, help="hosts in progress at once")
    parser.add_argument("--rounds", type=int, default=1, help="how often after the first time")
    parser.add_argument("--timeout", type=int, default=10, help="seconds until a host counts as dead")
    parsed = parser.parse_args()
    with open(parsed.hosts_file) as file:
        parsed.addresses = file.read().split()
    parsed.work = parsed.work.split(",")
    return parsed


def doable(client, asked, known, missing=None, unlike="it has nothing like it"):
    """The work that a client can do; tells why it can't do the rest. `missing`: why it can do nothing."""
    for work in asked.work:
        reason = missing or (None if work in known else unlike)
        if reason:
            skip(client, work, reason)
        else:
            yield work


def tag(number):
    """The version of a round; the next one has the other."""
    return "v2" if number % 2 == 0 else "v1"


class Round:
    """One time on all hosts. Its figures begin when it is made."""

    def __init__(self, client, work, phase, hosts):
        self.record = {"client": client, "work": work, "phase": phase, "hosts": hosts}
        self.ok = self.failed = 0
        self.first = self.healthy = 0.0
        self.error = None
        self.cpu = used()
        self.begun = time.monotonic()

    def answered(self):
        now = time.monotonic() - self.begun
        if self.ok == 0:
            self.first = now
        self.ok += 1
        self.healthy = now

    def missed(self, error=None):
        self.failed += 1
        self.error = self.error or (error and repr(error)[:300])

    def read(self, process, good):
        """Takes a line for each host, which is `good` if the host answered, up to the end of a process."""
        for line in process.stdout:
            if line.strip() == good:
                self.answered()
            else:
                self.missed()
        process.wait()

    def print(self, **more):
        wall = time.monotonic() - self.begun
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        self.record |= {
            "wall_ms": round(wall * 1e3, 3),
            "healthy_ms": round(self.healthy * 1e3, 3),
            "first_ms": round(self.first * 1e3, 3),
            "cpu_ms": round((used() - self.cpu) * 1e3, 3),
            "peak_kb": peak,
            "ok": self.ok,
            "failed": self.failed,
        }
        if self.error:
            self.record["error"] = self.error
        print(json.dumps(self.record | more), flush=True)


def used():
    """Seconds on the processor, of this process and of those that it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def skip(client, work, reason):
    print(json.dumps({"client": client, "work": work, "skipped": reason}), flush=True)


def tls_file(directory, name):
    return os.path.join(os.path.abspath(directory), name)
