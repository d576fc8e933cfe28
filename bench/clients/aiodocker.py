#!/usr/bin/env python3
"""aiodocker: all hosts in one event loop."""

import asyncio
import sys

from common import CONTAINER, IMAGE, Round, arguments, doable, tag, tls_file

# This file has the name of the library that it measures.
sys.path.pop(0)

NAME = "aiodocker"


async def list_(docker, number):
    await docker.containers.list(all=True)


async def inspect(docker, number):
    await docker.containers.container(CONTAINER).show()


async def pull(docker, number):
    await docker.images.pull(IMAGE, tag=tag(number))


async def exec_(docker, number):
    execution = await docker.containers.container(CONTAINER).exec(["true"])
    async with execution.start() as stream:
        while await stream.read_out() is not None:
            pass
    if (await execution.inspect())["ExitCode"] != 0:
        raise RuntimeError("exit code")


async def logs(docker, number):
    await docker.containers.container(CONTAINER).log(stdout=True, stderr=True, tail=100)


async def upgrade(docker, number):
    await pull(docker, number)
    container = docker.containers.container(CONTAINER)
    await container.stop()
    await container.delete()
    config = {"Image": f"{IMAGE}:{tag(number)}", "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}}}
    made = await docker.containers.create(config, name=CONTAINER)
    await made.start()


WORK = {
    "list": list_,
    "list-json": list_,
    "inspect": inspect,
    "pull": pull,
    "exec": exec_,
    "logs": logs,
    "upgrade": upgrade,
}


async def main():
    asked = arguments(__doc__, parallel=256)
    missing = None
    try:
        import aiodocker
    except ImportError as error:
        missing = str(error)
    for work in doable(NAME, asked, WORK, missing):
        clients = {}
        for number in range(asked.rounds + 1):
            await once(aiodocker, asked, work, number, clients)
        for docker in clients.values():
            await docker.close()


async def once(aiodocker, asked, work, number, clients):
    context = tls_context(asked.tls) if asked.tls else None
    places = asyncio.Semaphore(asked.parallel)
    round = Round(NAME, work, "warm" if number else "cold", len(asked.addresses))

    async def on(address):
        async with places:
            if address not in clients:
                scheme = "https" if asked.tls else "http"
                url = address.replace("tcp", scheme, 1)
                clients[address] = aiodocker.Docker(url=url, ssl_context=context)
            try:
                await asyncio.wait_for(WORK[work](clients[address], number), asked.timeout)
                round.answered()
            except Exception as error:
                round.missed(error)

    await asyncio.gather(*map(on, asked.addresses))
    round.print(parallel=asked.parallel)


def tls_context(directory):
    import ssl

    context = ssl.create_default_context(cafile=tls_file(directory, "ca.pem"))
    context.load_cert_chain(tls_file(directory, "cert.pem"), tls_file(directory, "key.pem"))
    return context


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
