# For the other scripts: where things are, and how what is missing gets installed. Sourced.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# Where tools go that no distribution has; removed with the rest of target/.
TOOLS=${CARGO_TARGET_DIR:-$ROOT/target}/tools
BUF_VERSION=1.75.0
BUF=$TOOLS/buf/node_modules/.bin/buf
PYTHON=$TOOLS/python/bin/python
NODE_MODULES=$TOOLS/node/node_modules

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
    if [ -d /run/systemd/system ] && ! command -v sshd >/dev/null &&
        [ ! -e /etc/systemd/system/ssh.service ]; then
        # The same goes for a server that accepts logins.
        say "masking ssh.service: the tests start servers of their own"
        as_root ln -s /dev/null /etc/systemd/system/ssh.service
    fi
    # A busybox that is not static does not run in an image that holds nothing else.
    apt_install docker.io docker-registry busybox-static apache2-utils openssh-server openssh-client tmux
}

# buf, from npm.
install_buf() {
    [ "$("$BUF" --version 2>/dev/null)" = "$BUF_VERSION" ] && return
    command -v npm >/dev/null || apt_install npm
    mkdir -p "$TOOLS/buf"
    npm install --silent --no-audit --no-fund --prefix "$TOOLS/buf" "@bufbuild/buf@$BUF_VERSION" >&2
}

# A Python with grpcio and what programs have beside it that talk to Google's services.
install_python() {
    "$PYTHON" -c 'import grpc, grpc_reflection, grpc_status, grpc_tools.protoc, google.api_core' \
        2>/dev/null && return
    command -v python3 >/dev/null || apt_install python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    python3 -m venv "$TOOLS/python" >&2
    local grpc package packages=(google-api-core)
    grpc=">=1.60,<2"
    for package in grpcio grpcio-reflection grpcio-status grpcio-tools; do
        packages+=("$package$grpc")
    done
    "$TOOLS/python/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
}

# Compilers and libraries of the contract for Go, as the distribution has them, and for
# JavaScript, from npm.
install_clients() {
    # Version 1.5 of the older library, by name: beside 1.3 generated code of today panics.
    apt_install protobuf-compiler golang-go protoc-gen-go protoc-gen-go-grpc \
        golang-github-golang-protobuf-1-5-dev \
        golang-google-grpc-dev golang-google-protobuf-dev golang-google-genproto-dev
    command -v npm >/dev/null || apt_install npm
    # Newer ones need a newer Node.js than Debian 12 has.
    local packages=(
        @grpc/grpc-js@1.14.7 @grpc/proto-loader@0.8.1
        @bufbuild/protobuf@2.6.0 @bufbuild/protoc-gen-es@2.6.0
        @connectrpc/connect@2.0.3 @connectrpc/connect-web@2.0.3
    )
    local installed=$TOOLS/node/installed
    [ "$(cat "$installed" 2>/dev/null)" = "${packages[*]}" ] && return
    mkdir -p "$TOOLS/node"
    npm install --silent --no-audit --no-fund --prefix "$TOOLS/node" "${packages[@]}" >&2
    printf '%s' "${packages[*]}" >"$installed"
}

# What the page is made of and tested with, from npm, as web/package-lock.json says.
install_page() {
    command -v npm >/dev/null || apt_install npm
    local installed=web/node_modules/.installed
    cmp -s web/package-lock.json "$installed" && return
    npm ci --silent --no-audit --no-fund --prefix web >&2
    cp web/package-lock.json "$installed"
}

# The browser for the tests of the page.
install_browser() {
    command -v chromium >/dev/null || apt_install chromium
}
