# Engines of other generations for the tests, beside the machine's own. Sourced after lib.sh.
#
# They come as packages of other Debian releases, with apt state of their own, and are unpacked
# below $TOOLS/engines/RELEASE: nothing is installed, and no maintainer script runs. The tests enter
# them in a private mount namespace (tests/testbed/engine/root.rs). tests/testbed/kind.rs has the same
# table.

ENGINES=$TOOLS/engines
ENGINE_KINDS=(docker26 docker28 podman4 podman5)
# Change it when an unpacked release must be unpacked again.
ENGINES_FORMAT=1

release_of() {
    case $1 in
        docker26 | podman5) echo trixie ;;
        docker28) echo sid ;;
        podman4) echo bookworm ;;
    esac
}

# The packages of a release; what they depend on follows.
packages_of() {
    case $1 in
        bookworm) echo podman runc netavark aardvark-dns ca-certificates ;;
        trixie) echo docker.io podman runc netavark aardvark-dns ca-certificates ;;
        sid) echo docker.io docker-cli docker-compose ca-certificates ;;
    esac
}

# A program of each kind, and how its version begins: a release that moved on has another Engine.
version_of() {
    case $1 in
        docker26) echo dockerd 26.1 ;;
        docker28) echo dockerd 28.5 ;;
        podman4) echo podman 4.3 ;;
        podman5) echo podman 5.4 ;;
    esac
}

# Fetches and unpacks whatever is missing. Prints the kinds that can be used, and writes for the
# others why not to $ENGINES/KIND.missing.
install_engines() {
    local kind release reason
    mkdir -p "$ENGINES"
    for kind in "${ENGINE_KINDS[@]}"; do
        release=$(release_of "$kind")
        rm -f "$ENGINES/$kind.missing"
        # One at a time, also when two checkouts share their target directory.
        if ! (set -e; flock 9; fetch_release "$release") 9>"$ENGINES/lock" >&2; then
            reason=$(tail -n 1 "$ENGINES/$release.log" 2>/dev/null || true)
            echo "Debian $release cannot be fetched: ${reason:-see above}" >"$ENGINES/$kind.missing"
        elif ! reason=$(check_version "$kind" "$ENGINES/$release"); then
            echo "$reason" >"$ENGINES/$kind.missing"
        else
            echo "$kind"
        fi
    done
}

check_version() { # KIND ROOT
    local program version wanted
    read -r program wanted <<<"$(version_of "$1")"
    version=$("$2/lib64/ld-linux-x86-64.so.2" --library-path "$2/usr/lib/x86_64-linux-gnu" \
        "$(command -v "$2/usr/sbin/$program" "$2/usr/bin/$program" | head -n 1)" --version 2>&1) || true
    case $version in
        *" $wanted."*) ;;
        *)
            echo "Debian $(basename "$2") has $program ${version:-of no version}, not $wanted"
            return 1
            ;;
    esac
}

fetch_release() { # RELEASE
    local release=$1 root=$ENGINES/$1 log=$ENGINES/$1.log packages wanted
    packages=$(packages_of "$release")
    wanted="$ENGINES_FORMAT $packages"
    [ "$(cat "$root/.complete" 2>/dev/null)" = "$wanted" ] && return
    : >"$log"
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ "$(uname -m)" != x86_64 ]; then
        echo "this machine is no x86_64" >"$log"
        return 1
    fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null || [ ! -e "$keyring" ]; then
        echo "apt and $keyring are needed" >"$log"
        return 1
    fi
    say "fetching Engines of Debian $release into $root"
    local state=$ENGINES/$release.apt
    rm -rf "$state" "$root.partial"
    mkdir -p "$state"/{lists/partial,cache/archives/partial,empty}
    # Nothing counts as installed, so that all they need comes from the same release.
    : >"$state/status"
    echo "deb [signed-by=$keyring] $(debian_mirror) $release main" >"$state/sources.list"
    local apt=(apt-get -qq -y -o Dir::State="$state" -o Dir::State::Lists="$state/lists"
        -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache"
        -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts="$state/empty"
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$state/empty"
        -o APT::Install-Recommends=0 -o APT::Sandbox::User= -o APT::Update::Post-Invoke=
        -o APT::Update::Post-Invoke-Success= -o Acquire::Languages=none -o Acquire::Retries=2
        -o Acquire::http::Timeout=30 -o APT::Architecture=amd64 -o Debug::NoLocking=1)
    "${apt[@]}" update >>"$log" 2>&1 && ! grep -q '^[WE]: Failed to fetch' "$log" || return 1
    # shellcheck disable=SC2086
    "${apt[@]}" --download-only install $packages >>"$log" 2>&1 || return 1
    unpack_release "$state/cache/archives" "$root.partial" >>"$log" 2>&1 || return 1
    echo "$wanted" >"$root.partial/.complete"
    rm -rf "$root" "$state"
    mv "$root.partial" "$root"
}

unpack_release() { # ARCHIVES ROOT
    local directory package name
    mkdir -p "$2"/usr/{bin,sbin,lib,lib64} "$2/etc"
    for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$2/$directory"; done
    for package in "$1"/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner --keep-directory-symlink -C "$2" \
            --exclude=./usr/share/{doc,man,locale,info,perl,perl5} --exclude=./var || return 1
    done
    # What the maintainer scripts would have done, as far as an Engine needs it: a shell, `mount`,
    # `ps` and the like where no package brought them ...
    cp "$(command -v busybox)" "$2/usr/bin/busybox" || return 1
    for name in $(busybox --list); do
        [ -e "$2/usr/bin/$name" ] || [ -e "$2/usr/sbin/$name" ] || ln -s busybox "$2/usr/bin/$name"
    done
    # ... a packet filter that leaves the machine's alone: the Engines share its network ...
    for name in iptables ip6tables iptables-save ip6tables-save nft; do
        rm -f "$2/usr/sbin/$name"
        printf '#!/bin/sh\ncase $* in *--version*) echo "%s v1.8.9 (nf_tables)" ;; esac\n' \
            "$name" >"$2/usr/sbin/$name"
        chmod 755 "$2/usr/sbin/$name"
    done
    # ... and some files.
    echo 'root:x:0:0:root:/root:/bin/sh' >"$2/etc/passwd"
    printf 'root:x:0:\ndocker:x:999:\n' >"$2/etc/group"
    mkdir -p "$2/etc/containers" "$2/etc/ssl/certs"
    cat "$2"/usr/share/ca-certificates/mozilla/*.crt >"$2/etc/ssl/certs/ca-certificates.crt"
    [ -e "$2/etc/containers/policy.json" ] ||
        echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$2/etc/containers/policy.json"
}

# The mirror that this machine uses, where it is a Debian.
debian_mirror() {
    local mirror
    mirror=$(sed -n 's/^URIs: *\(.*\/debian\)\/*$/\1/p
        s/^deb \(\[[^]]*\] \)\{0,1\}\(http[^ ]*\/debian\)\/* .*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
    echo "${mirror:-http://deb.debian.org/debian}"
}
