"""Medians, and the tables that show them."""

from collections import defaultdict
from statistics import median

NAMES = {
    "wharfd": "**`wharfd`**, gRPC client",
    "wharf": "**`wharf`** command",
    "reqwest": "bare reqwest, same parse",
    "curl": "`curl -Z`, no parse",
    "bollard": "bollard, `join_all`",
    "aiodocker": "aiodocker",
    "docker-py": "docker-py, threads",
    "docker": "`docker` under `xargs -P`",
}
FIGURES = ("wall_ms", "healthy_ms", "first_ms", "cpu_ms", "peak_kb", "memory_kb")


def medians(records):
    """By case, client, work and phase: the median of each figure, and of how many."""
    groups = defaultdict(list)
    for record in records:
        if "wall_ms" in record and not record.get("error"):
            groups[place(record) + (record["phase"],)].append(record)
    return {
        key: {figure: median(record.get(figure, 0) for record in group) for figure in FIGURES} | {"of": len(group)}
        for key, group in groups.items()
    }


def place(record):
    return (record["work"], record["transport"], record["dead"], record["hosts_asked"], record["key"])


def markdown(records):
    """A table for each kind of work, way, and share of dead hosts."""
    found, lines = medians(records), []
    problems = {place(record): record for record in records if record.get("error") or record.get("skipped")}
    kinds = list(dict.fromkeys(place(record)[:3] for record in records))
    for work, transport, dead in kinds:
        title = f"{work}, {'mTLS' if transport == 'tls' else 'plain HTTP'}"
        lines += ["", f"### {title}{f', {dead} % of the hosts dead' if dead else ''}", ""]
        wall = "wall to the last healthy host" if dead else "wall"
        lines += [
            f"| hosts | | cold {wall} | warm {wall} | cold CPU | warm CPU | peak memory | of |",
            "|---|---|---|---|---|---|---|---|",
        ]
        places = list(dict.fromkeys(place(record) for record in records if place(record)[:3] == (work, transport, dead)))
        places.sort(key=lambda at: (at[3], list(NAMES).index(at[4])))
        for at in places:
            lines.append(row(at, found, problems.get(at), "healthy_ms" if dead else "wall_ms"))
    return "\n".join(lines[1:]) + "\n"


def row(at, found, problem, wall):
    cold, warm = found.get(at + ("cold",)), found.get(at + ("warm",))
    if not cold and not warm:
        reason = (problem or {}).get("skipped") or (problem or {}).get("error") or "not measured"
        return f"| {at[3]:,} | {NAMES[at[4]]} | {' '.join(reason.split())[:90]} | | | | | |"
    peak = max(part["peak_kb"] for part in (cold, warm) if part)
    cells = [number(cold, wall), number(warm, wall), number(cold, "cpu_ms"), number(warm, "cpu_ms")]
    of = "/".join(str(part["of"]) for part in (cold, warm) if part)
    each = " each" if at[4] == "docker" else ""
    failed = ", some runs failed" if problem else ""
    return f"| {at[3]:,} | {NAMES[at[4]]} | {' | '.join(cells)} | {peak / 1024:.0f} MB{each} | {of}{failed} |"


def number(part, figure):
    if not part:
        return "-"
    value = part[figure]
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
