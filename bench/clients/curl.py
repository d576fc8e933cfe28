#!/usr/bin/env python3
"""One curl for all hosts: `curl -Z`. It connects to each and reads; nothing is parsed."""

import shutil
import subprocess
import sys
import tempfile

from common import CONTAINER, IMAGE, Round, arguments, doable, tag, tls_file

NAME = "curl -Z, no parse"
PATHS = {
    "list": "/containers/json?all=true",
    "list-json": "/containers/json?all=true",
    "inspect": f"/containers/{CONTAINER}/json",
    "pull": f"/images/create?fromImage={IMAGE}&tag=TAG",
    "logs": f"/containers/{CONTAINER}/logs?stdout=1&stderr=1&timestamps=1&tail=100",
}


def main():
    asked = arguments(__doc__, parallel=256)
    missing = None if shutil.which("curl") else "curl is not installed"
    unlike = "it takes several requests that depend on each other"
    for work in doable(NAME, asked, PATHS, missing, unlike):
        for number in range(asked.rounds + 1):
            once(asked, work, number)


def once(asked, work, number):
    scheme = "https" if asked.tls else "http"
    path = "/v1.41" + PATHS[work].replace("TAG", tag(number))
    with tempfile.NamedTemporaryFile("w", suffix=".curl") as config:
        for address in asked.addresses:
            url = address.replace("tcp", scheme, 1) + path
            config.write(f'url = "{url}"\noutput = "/dev/null"\n')
        config.flush()
        command = ["curl", "-q", "-s", "-Z", "--parallel-max", str(min(asked.parallel, 300))]
        # Without it, curl waits whether the first connection takes others as well.
        command += ["--parallel-immediate", "--max-time", str(asked.timeout)]
        command += ["-w", "%{http_code}\\n", "-K", config.name]
        if work == "pull":
            command += ["-X", "POST"]
        if asked.tls:
            command += ["--cacert", tls_file(asked.tls, "ca.pem")]
            command += ["--cert", tls_file(asked.tls, "cert.pem"), "--key", tls_file(asked.tls, "key.pem")]
        # A process is cold each time.
        round = Round(NAME, work, "cold", len(asked.addresses))
        # Even with -s, some versions show their progress.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        round.read(process, "200")
        round.print(parallel=asked.parallel)


if __name__ == "__main__":
    sys.exit(main())
