"""What is compared, and how each is started."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass
class Client:
    """A program that measures one way to do the work."""

    key: str
    command: list
    # More hosts take too long, or too many files.
    most_hosts: int = 1000
    # Rounds after the first one; a process for each command is cold every time.
    warm: bool = True
    extra: list = field(default_factory=list)


def all_clients(bench, wharfd, wharf, python, bollard):
    def script(name, *extra):
        return [python, os.path.join(HERE, "clients", name), *extra]

    return [
        Client("wharfd", [bench, "wharfd", "--wharfd", wharfd], most_hosts=10_000),
        Client("wharf", script("wharf_cli.py", "--wharfd", wharfd, "--wharf", wharf), most_hosts=10_000),
        Client("reqwest", [bench, "bare"], most_hosts=10_000),
        Client("curl", script("curl.py"), most_hosts=10_000, warm=False),
        Client("bollard", [bollard]),
        Client("aiodocker", script("aiodocker.py")),
        Client("docker-py", script("docker_py.py")),
        Client("docker", script("docker_cli.py"), warm=False),
    ]


def measure(client, fleet, work, rounds, timeout=10, parallel=None, extra=(), limit=900):
    """Runs a client once; its records. A failure is one, too."""
    command = [*client.command, "--hosts-file", fleet.hosts_file, "--work", ",".join(work)]
    command += ["--rounds", str(rounds if client.warm else 0), "--timeout", str(timeout), *extra]
    command += ["--tls", fleet.tls] if fleet.tls else []
    command += ["--parallel", str(parallel)] if parallel else []
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit)
        output, problem = done.stdout, done.stderr.strip() if done.returncode else None
    except FileNotFoundError:
        output, problem = "", f"{command[0]} is not there"
    except subprocess.TimeoutExpired as error:
        output, problem = (error.stdout or b"").decode(), f"not ready within {limit} s"
    records = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for record in records:
        if record.get("ok", fleet.healthy) != fleet.healthy and not record.get("error"):
            record["error"] = f"{record['ok']} hosts answered instead of {fleet.healthy}"
    if problem:
        print(f"{client.key}: {problem}", file=sys.stderr)
        records.append({"client": client.key, "work": work[-1], "error": problem[-300:]})
    for record in records:
        record["key"] = client.key
    return records
