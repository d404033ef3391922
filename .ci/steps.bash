# How a run goes: steps in their order, some of them beside others, each with a bound, and a table at the end that says where the
# time went. Needs bash 5.
#
#   step NAME BOUND_S COMMAND [ARGUMENT]...     runs it and waits for its end; its output is seen as it comes
#   beside NAME BOUND_S COMMAND [ARGUMENT]...   begins it and goes on; its output is shown whole when it has ended
#   join NAME...                                waits for the end of those
#   conclude                                    waits for the end of all, and prints the table
#
# A command is a program or a function, which runs with `errexit`. The first step that fails, or does not end within its bound,
# ends the run and whatever is under way.

SECONDS=0
steps=()   # the names of all, as they began
running=() # of those that have not ended
unshown=() # of those whose output is still to be shown
passed=0
declare -A bound_s began_s took_s outcome pid is_beside
# What steps print, and what `time` says of them.
reports=$(mktemp -d)
trap 'end_all; rm -rf "$reports"' EXIT
trap 'exit 130' INT TERM HUP

step() {
    echo "==> $1: ${*:3}"
    launch "$@"
    join "$1"
}

beside() {
    echo "==> $1 begins: ${*:3}"
    is_beside[$1]=beside
    unshown+=("$1")
    launch "$@" > "$reports/$1" 2>&1
}

join() {
    local name
    for name; do
        while is_running "$name"; do
            sleep 0.2
            look_after_all
        done
    done
    show_ended
}

conclude() {
    join "${running[@]}"
    print_table
    echo "$passed passed, 0 failed"
}

# In a process group of its own, so that it can be ended with all that it has started. Nobody answers its questions.
launch() {
    local name=$1 TIMEFORMAT='%U %S'
    steps+=("$name") running+=("$name")
    bound_s[$name]=$2 began_s[$name]=$SECONDS took_s[$name]=0 outcome[$name]=ended
    shift 2
    set -m
    {
        trap - INT TERM HUP EXIT
        set +em
        { time { (set -e; "$@") 2>&3 3>&-; }; } 3>&2 2> "$reports/$name.cpu"
    } < /dev/null &
    set +m
    pid[$name]=$!
}

is_running() {
    local name
    for name in "${running[@]}"; do
        [ "$name" != "$1" ] || return 0
    done
    return 1
}

look_after_all() {
    local name status still=()
    for name in "${running[@]}"; do
        took_s[$name]=$((SECONDS - began_s[$name]))
        if kill -0 "${pid[$name]}" 2> /dev/null; then
            [ "${took_s[$name]}" -lt "${bound_s[$name]}" ] || give_up "$name" "did not end within ${bound_s[$name]} s"
            still+=("$name")
        else
            status=0
            wait "${pid[$name]}" || status=$?
            [ "$status" = 0 ] || give_up "$name" "failed with exit code $status"
            outcome[$name]='' passed=$((passed + 1))
            [ -n "${is_beside[$name]:-}" ] || echo "==> $name took ${took_s[$name]} s"
        fi
    done
    running=("${still[@]}")
}

# The output of what has ended beside others.
show_ended() {
    local name still=()
    for name in "${unshown[@]}"; do
        if is_running "$name"; then
            still+=("$name")
        else
            echo "==> $name printed:"
            cat "$reports/$name"
            echo "==> $name took ${took_s[$name]} s"
        fi
    done
    unshown=("${still[@]}")
}

# Ends the run because of one step.
give_up() {
    outcome[$1]=failed
    end_all
    if [ -n "${is_beside[$1]:-}" ]; then
        echo "==> $1 printed:"
        cat "$reports/$1"
    fi
    print_table "$1"
    echo "==> $1 $2"
    echo "$passed passed, 1 failed"
    exit 1
}

end_all() {
    local name deadline=$((SECONDS + 10))
    for name in "${running[@]}"; do
        kill -TERM -- "-${pid[$name]}" 2> /dev/null || true
    done
    for name in "${running[@]}"; do
        while kill -0 -- "-${pid[$name]}" 2> /dev/null && [ "$SECONDS" -lt "$deadline" ]; do
            sleep 0.2
        done
        kill -KILL -- "-${pid[$name]}" 2> /dev/null || true
    done
    running=()
}

# When each step began, how long it took and what that is of the whole, and how long its processes had a core. What ran beside
# others counts as much as they do: the shares come to more than the whole.
print_table() {
    local name cpu_s user system row='%-36s %-7s %7s %6s %6s %6s\n'
    # shellcheck disable=SC2059
    {
        printf "\n$row" step '' 'from s' s share 'CPU s'
        for name in "${steps[@]}"; do
            # Where it was ended, nobody counted.
            cpu_s=-
            if read -r user system < "$reports/$name.cpu"; then cpu_s=$((${user%.*} + ${system%.*})); fi
            printf "$row" "$name" "${outcome[$name]:-${is_beside[$name]:-}}" "${began_s[$name]}" "${took_s[$name]}" \
                "$((100 * took_s[$name] / (SECONDS + 1)))%" "$cpu_s"
        done
        printf "$row\n" all '' 0 "$SECONDS" '' ''
    }
}
