# shellcheck shell=bash
# Sets up what rcfs needs: system packages, and the virtual environment .venv with locked packages.
#
# Sourced by contrib/demo and contrib/test. It installs only what is missing, so a second run takes less than
# a second. Every failure ends with one line that says what to do.
#
# Python always runs with -I. Otherwise a PYTHONPATH, or a directory `rcfs` in the current directory (such as
# this checkout seen from its parent), would hide the installed package.

# The directory of the checkout; the functions below find everything from here.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
VENV=$ROOT/.venv

# Exists while .venv is being changed: an environment with this file is incomplete.
UNFINISHED=$VENV/setup.unfinished
# Prefix of two files, for demo and test, that record the inputs of the environment.
STAMP=$VENV/setup.stamp

say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# Runs a command and writes its output to the log only.
quietly() {
    printf '\n$ %s\n' "$*" >>"$LOG"
    "$@" </dev/null >>"$LOG" 2>&1
}

# Like fail, but first shows the end of the log.
fail_with_log() {
    tail -n 10 "$LOG" >&2
    fail "$* (all of the output: $LOG)"
}

# Ends unless this user can open the FUSE device: without it nothing can be mounted.
require_fuse() {
    if [[ ! -e /dev/fuse && $EUID == 0 ]]; then
        modprobe fuse 2>/dev/null || true
    fi
    [[ -e /dev/fuse ]] || fail "/dev/fuse is missing; load the kernel module (modprobe fuse, as root), or" \
        "start the container with --device /dev/fuse --cap-add SYS_ADMIN"
    (: <>/dev/fuse) 2>/dev/null || fail "/dev/fuse cannot be opened by $(id -un); run as root:" \
        "chmod 666 /dev/fuse"
}

# Installs everything for `demo` or `test`; further arguments are pairs of a command and the Debian package
# that contains it.
set_up() {
    local kind=$1 python='' turn
    shift
    [[ $(uname -s) == Linux ]] || fail "rcfs needs Linux"
    LOG=$(mktemp -t rcfs-setup.XXXXXX.log)
    # When interrupted, pip and apt fail; without this trap the script would report that as their error.
    trap 'rm -f "$LOG"; exit 130' INT TERM

    # Two set-ups at a time would break each other's environment.
    exec {turn}<"${BASH_SOURCE[0]}"
    if ! flock -n "$turn"; then
        say "waiting for another set-up of this checkout"
        flock "$turn"
    fi

    if is_current "$kind"; then
        install_packages "$(missing_commands fusermount3 fuse3 "$@")"
    else
        if is_sound; then
            python=$VENV/bin/python
        else
            python=$(find_python)
        fi
        install_packages "$(missing_commands fusermount3 fuse3 "$@" && missing_for_building "$python")"
        python=${python:-$(find_python)}
        [[ -n $python ]] || fail "rcfs needs Python 3.11 or newer, which is not on PATH; install python3.11" \
            "(Debian 12 and Ubuntu 23.04 have a new enough python3), then run this again"
        make_environment "$kind" "$python"
    fi

    exec {turn}<&- # the demo keeps running and must not block other set-ups
    trap - INT TERM
    rm -f "$LOG"
}

# Prints the path of a Python that is new enough, or nothing. In a virtual environment it takes the Python
# below, because the active environment may be the .venv that is about to be replaced.
find_python() {
    local name path ask='import sys; print(sys._base_executable if sys.version_info >= (3, 11) else "")'
    for name in python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3; do
        path=$("$name" -I -c "$ask" 2>/dev/null) || continue
        if [[ -n $path ]]; then
            printf '%s\n' "$path"
            return
        fi
    done
}

# Whether .venv works, was made at this path, and is complete.
is_sound() {
    [[ ! -e $UNFINISHED ]] &&
        grep -qsF -- "$VENV" "$VENV/bin/activate" && # its scripts contain the path, so a copy does not work
        "$VENV/bin/python" -I -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Whether .venv has the packages for `demo` or `test`; an environment for tests has those of the demo, too.
is_current() {
    local kind
    for kind in "$1" test; do
        if [[ -r $STAMP.$kind && $(<"$STAMP.$kind") == "$(stamp "$kind")" ]] && is_sound; then
            # The user may have removed packages by hand; these four stand for all.
            if "$VENV/bin/python" -I -c 'import hypercorn, httpx, pyfuse3, rcfs.cli' 2>/dev/null; then
                return 0
            fi
            touch "$UNFINISHED"
        fi
    done
    return 1
}

# Prints the inputs of the environment for `demo` or `test`.
stamp() {
    "$VENV/bin/python" -V 2>&1
    cat "$ROOT/contrib/lock/build.txt" "$ROOT/contrib/lock/$1.txt" "$ROOT/contrib/lib/pyfuse3-opendir.patch" \
        "$ROOT/pyproject.toml" | sha256sum
}

# Takes pairs of a command and its package; prints the packages whose command is missing.
missing_commands() {
    while (($#)); do
        command -v "$1" >/dev/null || printf '%s ' "$2"
        shift 2
    done
}

# Prints the packages that are missing to make an environment with this Python, and python3 if $1 is empty.
missing_for_building() {
    local python=$1 base
    command -v pkg-config >/dev/null || printf 'pkg-config '
    pkg-config --exists fuse3 2>/dev/null || printf 'libfuse3-dev '
    command -v patch >/dev/null || printf 'patch '
    printf '#include <stdlib.h>\n' | cc -E -x c - >/dev/null 2>&1 || printf 'gcc libc6-dev '
    if [[ -z $python ]]; then
        # If python3 exists but is too old, apt has no newer one.
        [[ -e /usr/bin/python3 ]] || printf 'python3 python3-venv python3-dev '
        return
    fi
    base=$("$python" -I -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
    if [[ $base != /usr/bin/python3.* ]]; then
        return # not Debian's Python, so it has its own headers and venv
    fi
    "$python" -I -c 'import ensurepip, venv' 2>/dev/null || printf '%s-venv ' "${base##*/}"
    "$python" -I -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
        printf '%s-dev ' "${base##*/}"
}

# Installs the Debian packages named in $1, separated by blanks; does nothing if it names none.
install_packages() {
    local packages as_root=() install
    read -ra packages <<<"$1"
    ((${#packages[@]})) || return 0
    install="apt-get install -y --no-install-recommends ${packages[*]}"
    command -v apt-get >/dev/null || fail "missing: ${packages[*]} (Debian's names); install your" \
        "system's equivalents, then run this again"
    if ((EUID != 0)); then
        if sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        elif [[ -t 0 ]] && command -v sudo >/dev/null; then
            as_root=(sudo) # asks for the password on the terminal
        else
            fail "packages are missing, and only root can install them; run as root: apt-get update &&" \
                "$install; then run this again"
        fi
    fi
    say "installing ${packages[*]} (apt)"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    # An error here may come from an unrelated repository, so it is not a failure yet.
    quietly "${as_root[@]}" apt-get update || true
    # Waits for another apt, which often runs on a machine that has just started.
    # shellcheck disable=SC2086 # split on purpose: the same text tells the user what to type
    quietly "${as_root[@]}" ${install/install/-o DPkg::Lock::Timeout=120 install} ||
        fail_with_log "apt failed; check the network, or run as root: apt-get update && $install;" \
            "then run this again"
}

# Makes .venv for `demo` or `test` with this Python; if that is .venv's own, updates .venv.
make_environment() {
    local kind=$1 python=$2
    if [[ $python != "$VENV/bin/python" ]]; then
        say "making .venv with $("$python" -V) ($python)"
        { rm -rf -- "$VENV" && mkdir -- "$VENV"; } 2>/dev/null ||
            fail "$VENV cannot be made by $(id -un); make $ROOT writable, or remove what is there"
        touch "$UNFINISHED"
        quietly "$python" -I -m venv "$VENV" ||
            fail_with_log "$python cannot make a virtual environment; install the venv module for it"
    fi
    { touch "$UNFINISHED" && rm -f -- "$STAMP".*; } 2>/dev/null ||
        fail "$VENV cannot be changed by $(id -un); remove it, or run this as its owner"

    say "installing the packages of contrib/lock/$kind.txt (builds pyfuse3; about a minute)"
    install_with_pip --require-hashes -r "$ROOT/contrib/lock/build.txt"
    # If that fails, the original comes with the others: walks are slower, and all else is the same.
    "$VENV/bin/python" -I -c 'import pyfuse3; pyfuse3.FileInfo().cache_readdir' 2>/dev/null ||
        quietly "$ROOT/contrib/faster-pyfuse3" "$VENV/bin/python" --no-build-isolation --no-input || true
    # Without isolation: with it, pip would build with the newest build tools instead of the locked ones.
    install_with_pip --require-hashes --no-build-isolation -r "$ROOT/contrib/lock/$kind.txt"
    install_with_pip --no-deps --no-build-isolation --editable "$ROOT"

    stamp "$kind" >"$STAMP.$kind"
    rm -f -- "$UNFINISHED"
}

install_with_pip() {
    local unreachable='NewConnectionError|Connection(Reset)?Error|name resolution|is unreachable|timed out'
    quietly "$VENV/bin/python" -I -m pip install --disable-pip-version-check --no-input "$@" && return
    if grep -qE "$unreachable" "$LOG"; then
        fail_with_log "pip cannot reach the package index; check the network or proxy, then run this again"
    fi
    fail_with_log "pip failed; if the reason above does not help, remove $VENV and run this again"
}
