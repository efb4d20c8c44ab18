# Sourced by hack/demo, hack/test and others: stages with their time, and on failure the end of the stage's log.

stages_log_dir=$repository/target/logs
mkdir -p "$stages_log_dir"
stages_begin=$SECONDS

say() {
    printf '%5d s  %s\n' $((SECONDS - stages_begin)) "$*" >&2
}

# in_group COMMAND…: runs the command in a process group of its own and waits for it. A signal to this script is acted on
# at once, and ends the group.
child=
in_group() {
    local status=0
    set -m
    "$@" </dev/null &
    child=$!
    set +m
    wait "$child" || status=$?
    child=
    return "$status"
}
stop_child() {
    local group
    for group in $child $beside; do
        kill -TERM -- "-$group" 2>/dev/null || :
        wait "$group" 2>/dev/null || :
    done
    child='' beside=''
}
trap 'stop_child; exit 130' INT
trap 'stop_child; exit 143' TERM

# stage NAME COMMAND…: runs the command with its output in target/logs/NAME.log.
stage() {
    local name=$1 log status=0
    shift
    log=$stages_log_dir/${name//[^a-zA-Z0-9.-]/-}.log
    say "$name"
    in_group "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        say "$name FAILED (exit status $status); the end of $log:"
        tail -n 40 "$log" | sed 's/^/         /' >&2
        exit "$status"
    fi
}

# begin NAME COMMAND…: begins a stage beside those that follow; finish waits for it. One at a time.
beside='' beside_name='' beside_log=''
begin() {
    beside_name=$1
    shift
    beside_log=$stages_log_dir/${beside_name//[^a-zA-Z0-9.-]/-}.log
    say "$beside_name, beside what follows"
    set -m
    "$@" </dev/null >"$beside_log" 2>&1 &
    beside=$!
    set +m
}
finish() {
    local status=0
    wait "$beside" || status=$?
    beside=
    if [ "$status" -ne 0 ]; then
        say "$beside_name FAILED (exit status $status); the end of $beside_log:"
        tail -n 40 "$beside_log" | sed 's/^/         /' >&2
        exit "$status"
    fi
}

# The toolchain: rustup's shims are often not on root's path.
if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
fi
if ! command -v cargo >/dev/null; then
    echo "cargo is not installed: install Rust with rustup (version: see rust-toolchain.toml)" >&2
    exit 1
fi
