"""The ratios that have a target, each from pairs that are measured in turn."""

import json
import resource
import subprocess
import sys
from statistics import median

from .clients import measure as once
from .fleet import Fleet
from .machine import Load

THOUSAND, MANY = 1000, 10_000
# wharfd follows a host for each 16/7 files that it may open; 10,000 where the limit is high enough.
FOLLOWED = min(MANY, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 7 // 16)
LATENCY_MS = 20


def measure(known, bench, runs, only=None):
    """All figures; each is a dictionary with what it is, its target, and what came out."""
    tools = Tools({client.key: client for client in known}, bench, runs)
    steps = {
        1: live_list, 2: engine_json, 3: from_start, 4: from_view, 5: first_answer,
        6: memory, 7: dead_hosts, 8: others, 9: rollout,
    }
    found = []
    for number, step in steps.items():
        if only and number not in only:
            continue
        load = Load()
        try:
            rows = list(step(tools))
        except (LookupError, ValueError) as error:
            rows = [row(step.__doc__.strip(), None, None, note=f"not measured: {error!r}")]
        for one in rows:
            found.append({"number": number} | one | load.others())
            print(json.dumps(found[-1]), file=sys.stderr)
    return found


class Tools:
    def __init__(self, clients, bench, runs):
        self.clients, self.bench, self.runs = clients, bench, runs

    def fleet(self, hosts, **more):
        return Fleet(self.bench, hosts, **more)

    def records(self, fleet, key, work, rounds=5, **more):
        """The figures of one process, by phase: the one cold, and the medians of the warm."""
        phases = {}
        for record in once(self.clients[key], fleet, [work], rounds, **more):
            if "wall_ms" not in record or record.get("error"):
                raise ValueError(f"{key}: {record.get('error') or record.get('skipped')}")
            phases.setdefault(record["phase"], []).append(record)
        figures = ("wall_ms", "healthy_ms", "first_ms", "cpu_ms", "peak_kb", "memory_kb")
        return {
            phase: {figure: median(one.get(figure, 0) for one in found) for figure in figures}
            for phase, found in phases.items()
        }

    def pairs(self, fleet, one, other, **more):
        """As many runs of both, in turn."""
        for run in range(self.runs):
            order = (one, other) if run % 2 == 0 else (other, one)
            found = {case: self.records(fleet, *case, **more) for case in order}
            yield found[one], found[other]


def row(what, target, value, unit="", note="", at_least=False, values=()):
    met = None
    if target is not None and value is not None:
        met = value >= target if at_least else value <= target
    return {
        "what": what, "target": target, "at_least": at_least, "unit": unit, "value": value, "met": met,
        "note": note, "values": list(values),
    }


def ratios(what, target, pairs, one, other, at_least=False):
    """The median of the ratios of the pairs; `one` and `other` take a figure from what was measured."""
    pairs = [(one(first), other(second)) for first, second in pairs]
    values = [first / second for first, second in pairs]
    first, second = (median(column) for column in zip(*pairs))
    note = f"{first:,.1f} ms to {second:,.1f} ms"
    return row(what, target, median(values), note=note, at_least=at_least, values=values)


def take(phase, figure):
    return lambda found: found[phase][figure]


def live_list(tools):
    """Live typed list, 1,000 hosts: CPU of wharfd to reqwest with the same parse"""
    with tools.fleet(THOUSAND) as fleet:
        pairs = list(tools.pairs(fleet, ("wharfd", "list"), ("reqwest", "list")))
    for phase, target in (("warm", 1.15), ("cold", 1.2)):
        what = f"{live_list.__doc__}, {phase}"
        yield ratios(what, target, pairs, take(phase, "cpu_ms"), take(phase, "cpu_ms"))


def engine_json(tools):
    """Live list with Engine JSON, 1,000 hosts: CPU of wharfd to reqwest that keeps the JSON"""
    with tools.fleet(THOUSAND) as fleet:
        pairs = list(tools.pairs(fleet, ("wharfd", "list-json"), ("reqwest", "list-json")))
    yield ratios(engine_json.__doc__, 1.25, pairs, take("warm", "cpu_ms"), take("warm", "cpu_ms"))


def from_start(tools):
    """From the start of wharfd to the first whole list of 1,000 hosts: wall to curl -Z"""
    with tools.fleet(THOUSAND) as fleet:
        pairs = list(tools.pairs(fleet, ("wharfd", "list"), ("curl", "list"), rounds=0))
    yield ratios(from_start.__doc__, 1.0, pairs, take("start", "wall_ms"), take("cold", "wall_ms"))


def from_view(tools):
    """List from the view to the live list"""
    tools = Tools(tools.clients, tools.bench, min(3, tools.runs))
    for hosts in (THOUSAND, FOLLOWED):
        with tools.fleet(hosts) as fleet:
            pairs = list(tools.pairs(fleet, ("wharfd", "list-view"), ("wharfd", "list")))
        for figure in ("cpu_ms", "wall_ms"):
            what = f"{from_view.__doc__}, {hosts:,} hosts: {figure.removesuffix('_ms')}"
            yield ratios(what, 0.1, pairs, take("warm", figure), take("warm", figure))


def first_answer(tools):
    """First host's answer over the latency of the Engine"""
    for hosts in (10, 100, THOUSAND, MANY):
        with tools.fleet(hosts, latency=f"{LATENCY_MS}ms") as fleet:
            found = [tools.records(fleet, "wharfd", "list") for _ in range(tools.runs)]
            bare = [tools.records(fleet, "reqwest", "list") for _ in range(tools.runs)]
        over = lambda records: [one["warm"]["first_ms"] - LATENCY_MS for one in records]  # noqa: E731
        note = f"an Engine of {LATENCY_MS} ms; reqwest {median(over(bare)):.1f} ms"
        what = f"{first_answer.__doc__}, {hosts:,} hosts"
        yield row(what, 5, median(over(found)), "ms", note, values=over(found))


def memory(tools):
    """Many hosts with mTLS and events: resident memory for each host"""
    with tools.fleet(FOLLOWED, tls=True) as fleet:
        found = tools.records(fleet, "wharfd", "list-view", rounds=3, extra=["--idle", "60"])
    kilobytes = found["idle"]["memory_kb"] / FOLLOWED
    note = f"{FOLLOWED:,} hosts; peak {found['idle']['peak_kb'] / FOLLOWED:.0f} KB"
    yield row(memory.__doc__, 96, kilobytes, "KB", note)
    percent = found["idle"]["cpu_ms"] / found["idle"]["wall_ms"] * 100
    yield row("The same, nothing happens: share of a core", 5, percent, "%", "over 60 seconds")


def dead_hosts(tools):
    """5 % of 1,000 hosts dead: time to the last healthy answer to that without dead hosts"""
    runs = {}
    for dead in (0, 5):
        with tools.fleet(THOUSAND, dead=dead) as fleet:
            runs[dead] = [tools.records(fleet, "wharfd", "list", rounds=3) for _ in range(tools.runs)]
    for phase in ("cold", "warm"):
        pairs = zip(runs[5], runs[0])
        yield ratios(f"{dead_hosts.__doc__}, {phase}", 1.1, pairs, take(phase, "healthy_ms"), take(phase, "healthy_ms"))


def others(tools):
    """List of 1,000 hosts: wall of others to wharf"""
    runs = min(3, tools.runs)
    for key, name, target in (("docker", "docker under xargs", 50), ("docker-py", "docker-py with threads", 5)):
        with tools.fleet(THOUSAND) as fleet:
            found = {one: [tools.records(fleet, one, "list") for _ in range(runs)] for one in ("wharfd", "wharf", key)}
        for one in ("wharfd", "wharf"):
            what = f"List of 1,000 hosts: wall of {name} to `{one}`"
            phase = "cold" if key == "docker" else "warm"
            yield ratios(what, target, zip(found[key], found[one]), take(phase, "wall_ms"), take("warm", "wall_ms"), True)


def rollout(tools):
    """Rolling upgrade of 100 hosts, one at a time: time of Wharf itself for each host"""
    pairs = []
    for _ in range(tools.runs):
        # New hosts each time: wharfd refuses containers that another one has just replaced.
        with tools.fleet(100) as fleet:
            found = [tools.records(fleet, key, "upgrade", rounds=1, parallel=1) for key in ("wharfd", "reqwest")]
            pairs.append(found)
    values = [(one["warm"]["wall_ms"] - other["warm"]["wall_ms"]) / 100 for one, other in pairs]
    bare = median(other["warm"]["wall_ms"] for _, other in pairs) / 100
    note = f"beside {bare:.1f} ms for the bare calls; simulated hosts, real disk"
    yield row(rollout.__doc__, 20, median(values), "ms", note, values=values)


def soak(paths, seconds, pause):
    """200 callers that list and 50 that watch, with 5,000 events a second."""
    load = Load()
    command = [paths["bench"], "soak", "--wharfd", paths["wharfd"], "--seconds", str(seconds), "--pause", pause]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return [{"number": 10} | row("Soak", None, None, note="it ended with an error; see above")]
    found = json.loads(done.stdout)
    what = f"Soak, {found['callers']} callers, {found['watchers']} watchers, {found['events_per_second']:,.0f} events a second"
    samples = found["memory_kb"]
    fifth = max(1, len(samples) // 5)
    growth = median(samples[-fifth:]) / median(samples[fifth : 2 * fifth] or samples)
    pace = f"{found['lists']:,} lists in {found['seconds']} s, median {found['median_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms"
    cores = ", ".join(f"{who} {share}" for who, share in found["cores"].items())
    rows = [
        row(f"{what}: errors", 0, found["errors"], note="; ".join(found["first_errors"])[:200]),
        row("The same: p99 of a list from the view by its median", 10, found["p99_by_median"], note=pace),
        row("The same: memory at the end by that after a fifth", 1.05, growth, note=f"{samples[-1] / 1024:.0f} MB; cores: {cores}"),
    ]
    return [{"number": 10, "raw": found} | one | load.others() for one in rows]


def markdown(found):
    lines = ["| | figure | target | measured | | |", "|---|---|---|---|---|---|"]
    for one in found:
        target = "" if one["target"] is None else f"{'≥' if one['at_least'] else '≤'} {one['target']}"
        value = "-" if one["value"] is None else f"{one['value']:.3g} {one['unit']}".strip()
        verdict = {True: "met", False: "**missed**", None: ""}[one["met"]]
        lines.append(f"| {one['number']} | {one['what']} | {target} {one['unit']} | {value} | {verdict} | {one['note']} |")
    return "\n".join(lines) + "\n"
