# Cleans up after a process of the sandbox however it ended, `kill -9` included.
#
# $1 is a scratch directory. Standard input is a pipe whose other end only that process holds, so end of file means
# that the process is gone, or is done with the directory.
trap '' HUP INT TERM
directory=$1
while read -r _; do :; done

# A container is named after the directory. The order to create it may have been given without waiting for the answer, so
# it is looked for until it was there: then the engine prints its name.
if [ -e "$directory/container" ] && engine=$(command -v docker || command -v podman); then
    attempts=20
    while [ "$attempts" -gt 0 ] && [ -z "$("$engine" rm --force --volumes "${directory##*/}")" ]; do
        sleep 0.5
        attempts=$((attempts - 1))
    done
fi

pid=
{ read -r pid <"$directory/process.pid"; } 2>/dev/null

# The number may have been given to another process by now: ours has the directory among its arguments. One that has
# ended without being waited for has no arguments left.
runs() {
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    { tr '\0' ' ' <"/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null | grep -qF -e "$directory"
}

if runs; then
    kill -QUIT "$pid" # postgres: immediate shutdown; initdb: give up after the current step
    attempts=100
    while runs && [ "$attempts" -gt 0 ]; do
        sleep 0.1
        attempts=$((attempts - 1))
    done
    runs && kill -KILL "$pid"
fi

# Again while the last orphan still adds files.
attempts=50
while [ -e "$directory" ] && [ "$attempts" -gt 0 ]; do
    rm -rf "$directory" || sleep 0.1
    attempts=$((attempts - 1))
done
