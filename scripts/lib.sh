# For the other scripts: where things are, and how what is missing gets installed. Sourced.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# Where tools go that no distribution has; removed with the rest of target/.
TOOLS=${CARGO_TARGET_DIR:-$ROOT/target}/tools
BUF_VERSION=1.75.0
BUF=$TOOLS/buf/node_modules/.bin/buf
PYTHON=$TOOLS/python/bin/python

# rustup puts cargo where a shell that is not a login shell may not look.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
# Root's programs, which an ordinary user's PATH leaves out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() { say "$0: $*"; exit 2; }

# Runs a command as root. Without a terminal sudo must not ask: nobody would answer.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        die "this needs root: run it as root, or install sudo"
    elif [ -t 0 ] || sudo -n true 2>/dev/null; then
        sudo "$@"
    else
        die "sudo asks for a password, and nobody is there to give it: run this as root"
    fi
}

# Installs Debian or Ubuntu packages that are not there yet; quick when all of them are.
apt_install() {
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "please install: ${missing[*]}"
    say "installing ${missing[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -qq -o DPkg::Lock::Timeout=300)
    as_root "${apt[@]}" update >&2
    as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2
}

# What every step needs: Rust with its checkers, and a compiler for the C in SQLite and ring.
install_rust_tools() {
    command -v cargo >/dev/null || die "Rust is not installed: see https://rustup.rs"
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    command -v cc >/dev/null || apt_install build-essential
}

# What a Docker Engine and a registry for the tests are made of.
install_engine() {
    if [ -d /run/systemd/system ] && ! command -v docker-registry >/dev/null &&
        [ ! -e /etc/systemd/system/docker-registry.service ]; then
        # The package would open a registry to the network, now and at every boot.
        say "masking docker-registry.service: the tests start registries of their own"
        as_root ln -s /dev/null /etc/systemd/system/docker-registry.service
    fi
    # A busybox that is not static does not run in an image that holds nothing else.
    apt_install docker.io docker-registry busybox-static apache2-utils
}

# buf, from npm.
install_buf() {
    [ "$("$BUF" --version 2>/dev/null)" = "$BUF_VERSION" ] && return
    command -v npm >/dev/null || apt_install npm
    mkdir -p "$TOOLS/buf"
    npm install --silent --no-audit --no-fund --prefix "$TOOLS/buf" "@bufbuild/buf@$BUF_VERSION" >&2
}

# A Python with grpcio, for the test that a client of another language needs nothing of ours.
install_python() {
    "$PYTHON" -c 'import grpc, grpc_reflection' 2>/dev/null && return
    command -v python3 >/dev/null || apt_install python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    python3 -m venv "$TOOLS/python" >&2
    "$TOOLS/python/bin/pip" install --quiet --disable-pip-version-check \
        "grpcio>=1.60,<2" "grpcio-reflection>=1.60,<2" >&2
}
