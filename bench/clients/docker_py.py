#!/usr/bin/env python3
"""docker-py with threads: the calls of its APIClient, which are one request each.

`DockerClient.containers.list()` also inspects every container; the work `list-objects` measures that.
"""

import concurrent.futures
import sys

from common import CONTAINER, IMAGE, Round, arguments, doable, tag, tls_file

NAME = "docker-py, threads"


def list_(client, number):
    client.containers(all=True)


def list_objects(client, number):
    import docker

    whole = docker.DockerClient.__new__(docker.DockerClient)
    whole.api = client
    whole.containers.list(all=True)


def inspect(client, number):
    client.inspect_container(CONTAINER)


def pull(client, number):
    client.pull(IMAGE, tag=tag(number))


def exec_(client, number):
    made = client.exec_create(CONTAINER, ["true"])
    client.exec_start(made["Id"])
    if client.exec_inspect(made["Id"])["ExitCode"] != 0:
        raise RuntimeError("exit code")


def logs(client, number):
    client.logs(CONTAINER, tail=100)


def upgrade(client, number):
    pull(client, number)
    client.stop(CONTAINER)
    client.remove_container(CONTAINER)
    config = client.create_host_config(restart_policy={"Name": "unless-stopped"})
    made = client.create_container(f"{IMAGE}:{tag(number)}", name=CONTAINER, host_config=config)
    client.start(made["Id"])


WORK = {
    "list": list_,
    "list-json": list_,
    "list-objects": list_objects,
    "inspect": inspect,
    "pull": pull,
    "exec": exec_,
    "logs": logs,
    "upgrade": upgrade,
}


def main():
    asked = arguments(__doc__, parallel=32)
    missing = None
    try:
        import docker
    except ImportError as error:
        missing = str(error)
    for work in doable(NAME, asked, WORK, missing):
        clients = {}
        for number in range(asked.rounds + 1):
            once(docker, asked, work, number, clients)


def once(docker, asked, work, number, clients):
    def on(address):
        if address not in clients:
            clients[address] = connect(docker, asked, address)
        WORK[work](clients[address], number)

    round = Round(NAME, work, "warm" if number else "cold", len(asked.addresses))
    with concurrent.futures.ThreadPoolExecutor(asked.parallel) as pool:
        for future in concurrent.futures.as_completed([pool.submit(on, address) for address in asked.addresses]):
            error = future.exception()
            if error:
                round.missed(error)
            else:
                round.answered()
    round.print(parallel=asked.parallel)


def connect(docker, asked, address):
    tls = False
    if asked.tls:
        files = [tls_file(asked.tls, name) for name in ("cert.pem", "key.pem", "ca.pem")]
        tls = docker.tls.TLSConfig(client_cert=tuple(files[:2]), ca_cert=files[2], verify=True)
    return docker.APIClient(base_url=address, timeout=asked.timeout, tls=tls)


if __name__ == "__main__":
    sys.exit(main())
