# shellcheck shell=bash
# Sets up what rcfs needs: system packages, and the virtual environment .venv with locked packages.
#
# Sourced by contrib/demo and contrib/test. What is there already is left alone, so that the second time
# takes less than a second. Every failure ends with one line that says what to do.
#
# Python runs with -I throughout: a directory `rcfs` where the person stands, such as this checkout seen
# from the one above, or a PYTHONPATH would otherwise hide what is installed.

# The directory of the checkout; the functions below find everything from here.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
VENV=$ROOT/.venv

# There while .venv is being changed: an environment that has it was left half-made.
UNFINISHED=$VENV/setup.unfinished
# Followed by demo or test: says from what the environment was made.
STAMP=$VENV/setup.stamp

say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# Runs a command whose output is only of interest if it fails.
quietly() {
    printf '\n$ %s\n' "$*" >>"$LOG"
    "$@" </dev/null >>"$LOG" 2>&1
}

# Like fail, after the end of what the failed command has said.
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

# Makes everything ready for `demo` or `test`; further arguments are pairs of a command and the Debian
# package that has it.
set_up() {
    local kind=$1 python='' turn
    shift
    [[ $(uname -s) == Linux ]] || fail "rcfs needs Linux"
    LOG=$(mktemp -t rcfs-setup.XXXXXX.log)
    # pip and apt end with an error of their own when interrupted, which would be reported as theirs.
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
        [[ -n $python ]] || fail "Python 3.11 or newer is needed, and not on PATH; install python3.11" \
            "(Debian 12 and Ubuntu 23.04 have a new enough python3), then run this again"
        make_environment "$kind" "$python"
    fi

    exec {turn}<&- # the demo, which stays, must not keep others waiting
    trap - INT TERM
    rm -f "$LOG"
}

# The path of a Python that is new enough, or nothing. The base of a virtual environment is what counts:
# the one that is active may be the one that is about to be replaced.
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

# Whether .venv works, belongs to this place, and was not left half-made.
is_sound() {
    [[ ! -e $UNFINISHED ]] &&
        grep -qsF -- "$VENV" "$VENV/bin/activate" && # its scripts hold the path, so a copy is no use
        "$VENV/bin/python" -I -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Whether .venv has what `demo` or `test` needs; an environment for tests has all that the demo needs.
is_current() {
    local kind
    for kind in "$1" test; do
        if [[ -r $STAMP.$kind && $(<"$STAMP.$kind") == "$(stamp "$kind")" ]] && is_sound; then
            # Somebody may have removed packages by hand; these stand for all.
            if "$VENV/bin/python" -I -c 'import hypercorn, httpx, pyfuse3, rcfs.cli' 2>/dev/null; then
                return 0
            fi
            touch "$UNFINISHED"
        fi
    done
    return 1
}

# What the environment for `demo` or `test` is made from.
stamp() {
    "$VENV/bin/python" -V 2>&1
    cat "$ROOT/contrib/lock/build.txt" "$ROOT/contrib/lock/$1.txt" "$ROOT/pyproject.toml" | sha256sum
}

# Takes pairs of a command and its package; prints the packages whose command is missing.
missing_commands() {
    while (($#)); do
        command -v "$1" >/dev/null || printf '%s ' "$2"
        shift 2
    done
}

# Prints the packages that are missing for making an environment with this Python; none given: python3 too.
missing_for_building() {
    local python=$1 base
    command -v pkg-config >/dev/null || printf 'pkg-config '
    pkg-config --exists fuse3 2>/dev/null || printf 'libfuse3-dev '
    printf '#include <stdlib.h>\n' | cc -E -x c - >/dev/null 2>&1 || printf 'gcc libc6-dev '
    if [[ -z $python ]]; then
        # A python3 that is too old would stay so.
        [[ -e /usr/bin/python3 ]] || printf 'python3 python3-venv python3-dev '
        return
    fi
    base=$("$python" -I -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
    if [[ $base != /usr/bin/python3.* ]]; then
        return # not Debian's: it has its own headers and venv
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
    command -v apt-get >/dev/null || fail "missing: ${packages[*]} (Debian's names); install what your" \
        "system calls so, then run this again"
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
    # A list that cannot be fetched, perhaps of a repository that has nothing to do with this, is no
    # failure yet.
    quietly "${as_root[@]}" apt-get update || true
    # Another apt, as on a machine that has just started, is waited for.
    # shellcheck disable=SC2086 # words on purpose: it is also what a person is told to type
    quietly "${as_root[@]}" ${install/install/-o DPkg::Lock::Timeout=120 install} ||
        fail_with_log "apt failed; check the network, or run as root: apt-get update && $install;" \
            "then run this again"
}

# Makes .venv for `demo` or `test` with this Python, or changes the .venv whose Python it is.
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
    # Without isolation, as pip would build with whatever versions of the build tools are newest.
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
    fail_with_log "pip failed; if the reason above is no help, remove $VENV and run this again"
}
