"""Simulated hosts in processes of their own."""

import os
import subprocess
import tempfile

# Hosts of one process. With events, a host has two connections, and a process may have 20,000 files.
AT_MOST = 2500


class Fleet:
    """Runs from `with` to its end."""

    def __init__(self, bench, hosts, tls=False, dead=0, latency=None, containers=20):
        self.hosts, self.dead = hosts, dead
        self.healthy = hosts - sum(1 for number in range(hosts) if dead and number * dead % 100 < dead)
        self.directory = tempfile.TemporaryDirectory(prefix="wharf-bench-")
        self.hosts_file = os.path.join(self.directory.name, "hosts")
        self.tls = os.path.join(self.directory.name, "tls") if tls else None
        self.command = [bench, "hosts", "--containers", str(containers), "--dead", str(dead)]
        self.command += ["--tls", self.tls] if tls else []
        self.command += ["--latency", latency] if latency else []
        self.processes = []

    def __enter__(self):
        addresses = []
        for begin in range(0, self.hosts, AT_MOST):
            count = min(AT_MOST, self.hosts - begin)
            command = [*self.command, "--hosts", str(count), "--from", str(begin)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.processes.append(process)
            # One after the other: the first makes the certificates of all.
            addresses += process.stdout.readline().split()
        if len(addresses) != self.hosts:
            self.__exit__()
            raise SystemExit(f"error: {len(addresses)} simulated hosts of {self.hosts}")
        with open(self.hosts_file, "w") as file:
            file.write("\n".join(addresses) + "\n")
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stdin.close()
            process.wait()
            process.stdout.close()
        self.directory.cleanup()
