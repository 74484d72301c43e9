# shellcheck shell=bash
# Starts programs and ends them all, for scripts that run several. Works with bash 3.2 (macOS).
# Each program has a log in $run_dir, its own process group (Ctrl-C reaches the script alone, which then ends them
# in order) and a reader that copies its output and, when the program ends, writes its name into $run_dir/ended.
# Owns: $run_dir, $started_names, $started_pids. The sourcing script calls `processes_begin DIR` first.

processes_begin() {
    run_dir=$1
    started_names=() started_pids=() readers=()
    mkdir -p "$run_dir"
    rm -f "$run_dir"/*.fifo "$run_dir"/ended
    mkfifo "$run_dir/ended"
    # Held open for reading and writing, so that no writer of a name waits for a reader.
    exec 8<> "$run_dir/ended"
    set -m
}

# start NAME PATTERN COMMAND...: returns when the program has printed a line that holds PATTERN, which is then in
# $ready_line; fails, with the last lines of its log, if it ends before or takes longer than a minute.
start() {
    local name=$1 pattern=$2 log=$run_dir/$1.log fifo=$run_dir/$1.fifo deadline=$((SECONDS + 60)) line
    shift 2
    : > "$log"
    mkfifo "$fifo"
    "$@" < /dev/null > "$fifo" 2>&1 8>&- &
    started_names+=("$name")
    started_pids+=($!)
    exec 9< "$fifo"
    rm -f "$fifo"
    ready_line=
    while [ -z "$ready_line" ] && [ $SECONDS -lt $deadline ] && IFS= read -r -t 60 line <&9; do
        printf '%s\n' "$line" >> "$log"
        case $line in
            *"$pattern"*) ready_line=$line ;;
        esac
    done
    (
        trap '' INT TERM HUP
        cat <&9 >> "$log"
        echo "$name" >&8
    ) &
    readers+=($!)
    exec 9<&-
    [ -n "$ready_line" ] || failed "$name" "did not start"
}

# failed NAME WHAT: says what is with a program, with the end of its log.
failed() {
    echo "$1 $2; the last lines of $run_dir/$1.log:" >&2
    tail -n 15 "$run_dir/$1.log" >&2
    return 1
}

# wait_for_end: returns when the first program has ended, with its name in $ended. A trap interrupts it.
wait_for_end() {
    head -n 1 <&8 > "$run_dir/first-end" &
    local watcher=$!
    readers+=("$watcher")
    wait "$watcher"
    # shellcheck disable=SC2034 # for the sourcing script
    ended=$(cat "$run_dir/first-end")
}

# stop_all: ends the programs, last started first, each with 20 s to go by itself.
stop_all() {
    local i guard
    for ((i = ${#started_pids[@]} - 1; i >= 0; i--)); do
        kill -TERM "${started_pids[i]}" 2> /dev/null || true
        (sleep 20 && kill -KILL "${started_pids[i]}" 2> /dev/null) 8>&- &
        guard=$!
        wait "${started_pids[i]}" 2> /dev/null || true
        kill -KILL -- "-$guard" 2> /dev/null || true
        wait "$guard" 2> /dev/null || true
    done
    for ((i = 0; i < ${#readers[@]}; i++)); do
        kill -KILL -- "-${readers[i]}" 2> /dev/null || true
        wait "${readers[i]}" 2> /dev/null || true
    done
    started_names=() started_pids=() readers=()
    rm -f "$run_dir"/*.fifo "$run_dir/ended" "$run_dir/first-end"
}

# address LINE: the last host:port in a ready line.
address() { sed -E 's|.*[/ ]([0-9.]+:[0-9]+).*|\1|' <<< "$1"; }

# first_address LINE: the first, where a server has one for clients and one for the operator.
first_address() { sed -E 's|.*ready: http://([0-9.]+:[0-9]+).*|\1|' <<< "$1"; }

# metric ADDRESS NAME: the sum over its labels, of the program with its admin port there.
metric() {
    curl --silent --fail "http://$1/metrics" |
        awk -v name="$2" 'index($1, name "{") == 1 || $1 == name { sum += $2 } END { printf "%d\n", sum }'
}
