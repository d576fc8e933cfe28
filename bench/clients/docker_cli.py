#!/usr/bin/env python3
"""The docker command under `xargs -P`: a process for each host and command."""

import os
import shutil
import subprocess
import sys
import tempfile

from common import CONTAINER, IMAGE, Round, arguments, doable, tag

NAME = "docker CLI, xargs"
COMMANDS = {
    "list": "docker ps -a",
    "list-json": "docker ps -a --no-trunc --format json",
    "inspect": f"docker inspect {CONTAINER}",
    "pull": f"docker pull -q {IMAGE}:$TAG",
    "exec": f"docker exec {CONTAINER} true",
    "logs": f"docker logs --tail 100 {CONTAINER}",
    # What a script does.
    "upgrade": f"docker pull -q {IMAGE}:$TAG && docker stop {CONTAINER} && docker rm {CONTAINER} && "
    f"docker run -d --name {CONTAINER} --restart unless-stopped {IMAGE}:$TAG",
}


def main():
    asked = arguments(__doc__, parallel=32)
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LIMIT": str(asked.timeout)}
    if asked.tls:
        environment |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": os.path.abspath(asked.tls)}
    missing = None if shutil.which("docker") else "docker is not installed"
    for work in doable(NAME, asked, COMMANDS, missing):
        for number in range(asked.rounds + 1):
            once(asked, environment | {"TAG": tag(number)}, work)


def once(asked, environment, work):
    # A process is cold each time.
    round = Round(NAME, work, "cold", len(asked.addresses))
    script = COMMANDS[work].replace("docker ", 'timeout -k 1 "$LIMIT" docker ')
    command = ["xargs", "-P", str(asked.parallel), "-n", "1"]
    command += ["sh", "-c", f'export DOCKER_HOST="$1"; ({script}) >/dev/null && echo 1 || echo 0', "sh"]
    with open(asked.hosts_file) as hosts, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=hosts, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        )
        round.read(process, "1")
        if round.failed:
            errors.seek(0)
            round.error = errors.read(300)
    round.print(parallel=asked.parallel)


if __name__ == "__main__":
    sys.exit(main())
