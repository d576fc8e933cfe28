# Finds circles between the files of a module. Reads Rust code as `FILE:LINE:TEXT`, without comments
# and tests, and prints every edge of a circle: `MODULE FILE FILE`, and a use that makes it.
#
# A file uses another one where a path in it, in a `use` or elsewhere, leads there, also by way of
# what a third one passes on. A file and the files of its own folder may know each other, so these
# count as one for everybody else: only edges between siblings matter, on every level.

# The module that a file is.
function module(file) {
    sub(/^server\/src\//, "", file)
    sub(/\.rs$/, "", file)
    sub(/(^|\/)(mod|lib|main)$/, "", file)
    gsub(/\//, "::", file)
    return file
}

function parent(path) { return sub(/::[^:]*$/, "", path) ? path : "" }

function last(path) { sub(/.*::/, "", path); return path }

# A path in full, as it is written in the module `at`.
function absolute(path, at) {
    if (sub(/^crate::/, "", path)) return path
    sub(/^self::/, "", path)
    while (sub(/^super::/, "", path)) at = parent(at)
    return at "::" path
}

# Takes down every path of a tree of uses.
function tree(text, before, at,    i, letter, depth, start, part, brace) {
    start = 1
    for (i = 1; i <= length(text) + 1; i++) {
        letter = substr(text, i, 1)
        depth += (letter == "{") - (letter == "}")
        if (depth > 0 || (letter != "," && letter != "")) continue
        part = substr(text, start, i - start)
        start = i + 1
        brace = index(part, "{")
        if (brace)
            tree(substr(part, brace + 1, length(part) - brace - 1), before substr(part, 1, brace - 1), at)
        else if (part != "")
            leaf(before part, at)
    }
}

function leaf(path, at,    name) {
    sub(/::self$/, "", path)
    name = last(path)
    if (sub(/@.*/, "", path)) sub(/.*@/, "", name)
    path = absolute(path, at)
    if (path != at "::" name) imported[at, name] = path
    used[++uses] = at " " path
}

# The module in which what a path names is written.
function home(path, steps,    head, rest) {
    for (head = path; head != "" && !(head in text); head = parent(head))
        rest = "::" last(head) rest
    sub(/^::/, "", rest)
    path = rest
    sub(/::.*/, "", path)
    if (steps < 9 && (head, path) in imported)
        return home(imported[head, path] substr(rest, length(path) + 1), steps + 1)
    return head
}

# An edge, as one between siblings; inside of one module it is none.
function sibling_edge(from, to,    a, b, n, m, i, above) {
    n = split(from, a, "::")
    m = split(to, b, "::")
    for (i = 1; i <= n && i <= m && a[i] == b[i]; i++) above = above (i > 1 ? "::" : "") a[i]
    # Between the modules at the top is the table of layers.
    if (i == 1 || i > n || i > m) return
    edge[above " " a[i] " " b[i]] = from " -> " to
}

{
    at = $0
    sub(/:.*/, "", at)
    at = module(at)
    sub(/^[^:]*:[0-9]*:/, "")
    sub(/[[:space:]]\/\/.*/, "")
    text[at] = text[at] " " $0
}

END {
    for (at in text) {
        rest = text[at]
        while (match(rest, /(^|[ ;}])use [^;]*;/)) {
            found = substr(rest, RSTART, RLENGTH - 1)
            rest = substr(rest, 1, RSTART) " " substr(rest, RSTART + RLENGTH)
            sub(/^[ ;}]*use /, "", found)
            gsub(/ as /, "@", found)
            gsub(/[[:space:]]/, "", found)
            tree(found, "", at)
        }
        while (match(rest, /(crate|super|self)(::[A-Za-z_0-9]+)+/)) {
            used[++uses] = at " " absolute(substr(rest, RSTART, RLENGTH), at)
            rest = substr(rest, RSTART + RLENGTH)
        }
    }
    for (i = 1; i <= uses; i++) {
        split(used[i], pair, " ")
        to = home(pair[2], 0)
        if (to != "") sibling_edge(pair[1], to)
    }
    # What nobody uses, or uses nobody, is in no circle.
    do {
        split("", uses_one)
        split("", is_used)
        for (key in edge) {
            split(key, part, " ")
            uses_one[part[1], part[2]]
            is_used[part[1], part[3]]
        }
        gone = 0
        for (key in edge) {
            split(key, part, " ")
            if (!((part[1], part[3]) in uses_one) || !((part[1], part[2]) in is_used)) {
                delete edge[key]
                gone++
            }
        }
    } while (gone)
    for (key in edge) print key ": " edge[key]
}
