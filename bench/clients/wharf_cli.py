#!/usr/bin/env python3
"""The wharf command, with a wharfd that runs already: what its user waits for.

The CPU time is that of both. The peak is that of wharfd.
"""

import os
import subprocess
import sys
import tempfile
import time

import common
from common import CONTAINER, IMAGE, Round, doable, tag

NAME = "wharf command"
COMMANDS = {
    "list": "ps -A -a --fresh",
    "list-json": "ps -A -a --fresh -o json",
    "list-view": "ps -A -a",
    "inspect": f"inspect -A {CONTAINER}",
    "pull": f"pull -A {IMAGE}:TAG",
    "exec": f"exec -A {CONTAINER} true",
    "logs": f"logs -A --tail 100 {CONTAINER}",
    "upgrade": f"rollout start {CONTAINER} -A --image {IMAGE}:TAG --max-parallel PARALLEL --health running"
    " --min-healthy-time 0s --monitor 0s --pull-policy always --keep-old 0",
}


def main():
    binaries = {}
    for name in ("--wharfd", "--wharf"):
        at = sys.argv.index(name)
        binaries[name] = sys.argv[at + 1]
        del sys.argv[at : at + 2]
    asked = common.arguments(__doc__, parallel=256)
    for work in doable(NAME, asked, COMMANDS):
        with tempfile.TemporaryDirectory(prefix="wharf-bench-") as directory:
            server, address = start(binaries["--wharfd"], asked, directory)
            try:
                for number in range(asked.rounds + 1):
                    once(binaries["--wharf"], asked, work, number, server.pid, address)
            finally:
                server.terminate()
                server.wait()


def once(wharf, asked, work, number, server, address):
    words = COMMANDS[work].replace("TAG", tag(number)).replace("PARALLEL", str(asked.parallel)).split()
    command = [wharf, "--server", address, *words]
    if work != "upgrade":
        command[3:3] = ["--host-timeout", f"{asked.timeout}s", "--max-parallel", str(asked.parallel)]
    if work == "logs":
        command.remove("--max-parallel")
        command.remove(str(asked.parallel))
    before = cpu(server)
    round = Round(NAME, work, "warm" if number else "cold", len(asked.addresses))
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # The command says only as a whole whether it worked.
    round.ok, round.healthy = len(asked.addresses), time.monotonic() - round.begun
    if done.returncode:
        round.error = done.stderr[-300:]
    both = common.used() - round.cpu + cpu(server) - before
    round.print(parallel=asked.parallel, cpu_ms=round_to(both * 1e3), peak_kb=peak(server))


def round_to(milliseconds):
    return float(f"{milliseconds:.3f}")


def start(wharfd, asked, directory):
    lines = []
    if asked.tls:
        files = {key: common.tls_file(asked.tls, f"{key}.pem") for key in ("ca", "cert", "key")}
        lines += ["[tls.bench]", *(f'{key} = "{path}"' for key, path in files.items())]
    for number, host in enumerate(asked.addresses):
        lines += ["[[host]]", f'name = "host-{number:05}"', f'address = "{host}"']
        lines += ['tls = "bench"'] if asked.tls else []
    config = os.path.join(directory, "wharfd.toml")
    with open(config, "w") as file:
        file.write("\n".join(lines) + "\n")
    address = f"unix://{directory}/wharfd.sock"
    command = [wharfd, "--config", config, "--data-dir", f"{directory}/data", "--no-local", "--listen", address]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if not server.stdout.readline():
        raise SystemExit("wharfd ended")
    return server, address


def cpu(process):
    """Seconds on the processor of all threads of a process."""
    nanoseconds = 0
    for thread in os.listdir(f"/proc/{process}/task"):
        try:
            with open(f"/proc/{process}/task/{thread}/schedstat") as file:
                nanoseconds += int(file.read().split()[0])
        except OSError:
            pass
    return nanoseconds / 1e9


def peak(process):
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


if __name__ == "__main__":
    sys.exit(main())
