#!/bin/bash
# Runs a suite in one allocation, on one node or on several, until all that it asks for is on record:
#
#     SUITE=demo sbatch slurm/sweep.sh
#     SUITE=acdc_semi DATA=/scratch/acdc VENV=~/harness/.venv sbatch --nodes=2 slurm/sweep.sh
#
# Edit the next lines for your cluster, or give the same options to sbatch. A run takes one GPU, or one core where no
# GPU is asked for. Long suites need no long --time, ten minutes or more will do: the job starts itself again and goes
# on from the records.
#SBATCH --job-name=harness
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:2
#SBATCH --mem=16G
#SBATCH --time=01:00:00
#SBATCH --output=%x-%j.log
# Held: 300 s before the limit runs write their checkpoints, and the job goes back into the queue.
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append

# What the environment may set; relative paths count from the folder of the sbatch command.
#   SUITE         a name or a YAML file
#   DATA          scans or a prepared cache, where $HARNESS_DATA does not name them
#   RUNS          the records, on a disk that all nodes share (runs)
#   VENV          a Python environment with the harness (.venv here, else the python3 on the PATH)
#   CONTAINER     an Apptainer image with the harness, instead of VENV; it sees RUNS, DATA and HARNESS_CACHE
#   TRACKING      an MLflow that the nodes can reach; else `harness track` from the login node
#   EXTRA         more arguments of `harness run`
#   MAX_RESTARTS  how often the job may start again (100)
#   EARLY_SECONDS a USR1 so soon after the start means a --time too short for any progress (60)
#   STOP_SECONDS  patience with checkpoints after a signal (240)
#   JOIN_SECONDS  patience with nodes that join the Ray of the first one (120)
#   RAY_TMPDIR    a short path on the nodes' own disks (/tmp)

fail() {
    printf 'error: %s\n' "$2" >&2
    exit "$1"
}

[ -n "${SLURM_JOB_ID:-}" ] || fail 64 'this is a batch script, which Slurm runs: SUITE=demo sbatch slurm/sweep.sh'
[ -n "${SUITE:-}" ] || fail 64 'which suite? SUITE=demo sbatch slurm/sweep.sh'
runs=$(realpath -m "${RUNS:-runs}")
mkdir -p "$runs" 2>/dev/null && [ -w "$runs" ] || fail 74 "RUNS=$runs cannot be written; name another folder"

if [ -n "${CONTAINER:-}" ]; then
    binds=$runs
    [ -z "${HARNESS_CACHE:-}" ] || mkdir -p "$HARNESS_CACHE"
    for path in "${DATA:-}" "${HARNESS_DATA:-}" "${HARNESS_CACHE:-}"; do
        [ -z "$path" ] || [ ! -e "$path" ] || binds+=,$(realpath -s "$path")
    done
    python=(apptainer exec --nv --bind "$binds" "$CONTAINER" python3)
elif [ -n "${VENV:-}" ] || [ -x .venv/bin/python ]; then
    python=("$(realpath -s "${VENV:-.venv}")/bin/python")
else
    python=(python3)
fi
command -v "${python[0]}" >/dev/null || fail 64 "${python[0]} is not there; set VENV or CONTAINER"

export PYTHONUNBUFFERED=1 RAY_DISABLE_USAGE_STATS=1 RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0 RAY_worker_niceness=0
export RAY_kill_child_processes_on_worker_exit=false SLURM_EXPORT_ENV=ALL OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
unset RAY_ADDRESS

# ---- several nodes: a Ray over all of them -----------------------------------------------------------------------

# Runs Ray on this node until $folder/over exists. ray_node FOLDER TMP SECONDS head|worker PYTHON...
ray_node() {
    local folder=$1 tmp=$2 seconds=$3 role=$4 ip port address where ray told=
    shift 4
    # Slurm signals all processes of a job: runs here still write their checkpoints then, so this one must stay
    trap 'told=yes' TERM
    rm -rf "$tmp"
    if [ "$role" = head ]; then
        ip=$(getent ahostsv4 "$SLURMD_NODENAME" | awk '$1 !~ /^127/ { print $1; exit }')
        ip=${ip:-$(hostname -I | awk '{ print $1 }')}
        port=$("$@" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
        where=(--head --node-ip-address="$ip" --port="$port" --include-dashboard=false)
    else
        until [ -s "$folder/address" ]; do
            [ "$SECONDS" -lt "$seconds" ] ||
                { echo "error: $SLURMD_NODENAME does not see $folder: RUNS must be on a shared disk" >&2 && exit 74; }
            sleep 0.2
        done
        read -r address _ <"$folder/address"
        where=(--address="$address")
    fi
    "$@" -m ray.scripts.scripts start "${where[@]}" --temp-dir="$tmp" --object-store-memory=100000000 \
        --num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --min-worker-port=0 \
        --max-worker-port=0 --dashboard-agent-listen-port=0 --block &
    ray=$!
    if [ "$role" = head ]; then
        until (exec 3<>"/dev/tcp/$ip/$port") 2>/dev/null; do
            kill -0 $ray 2>/dev/null || exit 69
            sleep 0.2
        done
        echo "$ip:$port $SLURM_JOB_NUM_NODES $seconds" >"$folder/address.new"
        mv "$folder/address.new" "$folder/address"
    fi
    until [ -e "$folder/over" ]; do
        kill -0 $ray 2>/dev/null || [ -n "$told" ] || exit 69
        sleep 0.5
    done
    kill -TERM $ray 2>/dev/null
    wait $ray
    rm -rf "$tmp"
}

# start_ray_on NODE NUMBER head|worker: a step on that node, its words in $folder/NODE.log
start_ray_on() {
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" --mem=0 --cpu-bind=none \
        bash -c "$(declare -f ray_node); ray_node \"\$@\"" ray_node \
        "$folder" "$tmp-$2" "${JOIN_SECONDS:-120}" "$3" "${python[@]}" </dev/null >"$folder/$1.log" 2>&1 &
    steps+=($!)
}

start_rays() {
    local number until=$((SECONDS + 300))
    mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
    (umask 077 && rm -rf "$runs/.ray-$SLURM_JOB_ID-"* && mkdir "$folder" && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$folder/token") ||
        fail 74 "$folder cannot be written"
    trap end_rays EXIT
    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$folder/token
    start_ray_on "${nodes[0]}" 0 head
    until [ -e "$folder/address" ]; do
        if [ "$SECONDS" -gt $until ] || ! kill -0 "${steps[0]}" 2>/dev/null; then
            tail -n 12 "$folder/${nodes[0]}.log" >&2
            fail 69 "Ray did not start on ${nodes[0]}"
        fi
        sleep 0.2
    done
    for number in $(seq 1 $((${#nodes[@]} - 1))); do
        start_ray_on "${nodes[number]}" "$number" worker
    done
}

# The steps end by themselves, with all that runs in them; after a while they are killed.
end_rays() {
    local until=$((SECONDS + 20))
    touch "$folder/over"
    while kill -0 "${steps[@]}" 2>/dev/null; do
        [ "$SECONDS" -le $until ] || kill -KILL "${steps[@]}" 2>/dev/null
        sleep 0.2
    done
    rm -rf "$folder"
}

# ---- the driver, a child of this shell ---------------------------------------------------------------------------

signal='' early='' driver='' deadline=0
told() {
    [ "$1" != USR1 ] || [ -n "$signal" ] || [ "$SECONDS" -ge "${EARLY_SECONDS:-60}" ] || early=yes
    signal=$1 deadline=$((SECONDS + ${STOP_SECONDS:-240}))
    echo "sweep: $1: runs write their checkpoints"
    [ -z "$driver" ] || kill -USR1 "$driver" 2>/dev/null
}
trap 'told USR1' USR1
trap 'told TERM' TERM

arguments=(--suite "$SUITE" --runs "$runs" --executor ray --yes)
[ -z "${DATA:-}" ] || arguments+=(--data "$DATA")
# not an argument, which everybody on the node can read: it may hold a password
if [ -n "${TRACKING:-}" ]; then export MLFLOW_TRACKING_URI=$TRACKING; else arguments+=(--no-track); fi
nodes=() steps=()
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    folder=$runs/.ray-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}
    tmp=${RAY_TMPDIR:-/tmp}/h$SLURM_JOB_ID
    [ ${#tmp} -le 40 ] || fail 64 "RAY_TMPDIR=$RAY_TMPDIR is too long for Ray's sockets; name a shorter folder"
    start_rays
    arguments+=(--ray-address "$folder/address")
else
    arguments+=(--workers "${SLURM_GPUS_ON_NODE:-$SLURM_CPUS_ON_NODE}")
fi
read -ra extra <<<"${EXTRA:-}"

if [ -z "$signal" ]; then
    echo "sweep: job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)), on $SLURM_JOB_NODELIST"
    "${python[@]}" -m harness run "${arguments[@]}" "${extra[@]}" </dev/null &
    driver=$!
    while kill -0 "$driver" 2>/dev/null; do
        [ -z "$signal" ] || [ "$SECONDS" -le "$deadline" ] || kill -KILL "$driver"
        sleep 0.5
    done
    wait "$driver"
    code=$?
    if [ $code -eq 69 ]; then
        for node in "${nodes[@]:1}"; do tail -n 12 "$folder/$node.log" | sed "s/^/$node: /" >&2; done
    fi
    # a driver that was told before it could listen, or that was too slow, has runs to go on with
    [ -z "$signal" ] || [ $code -le 128 ] || code=75
else
    code=75
fi
[ ${#steps[@]} -eq 0 ] || end_rays
trap - EXIT

# ---- again, if runs are left ------------------------------------------------------------------------------------

[ "$code" -ne 0 ] || [ -n "${TRACKING:-}" ] || echo "sweep: done; in MLflow it is shown by: harness track $runs/$(sed -n 's/^name: *//p' "$SUITE" 2>/dev/null || echo "$SUITE")"
[ "$code" -eq 75 ] || exit "$code"
# cancelled, preempted or out of time: what comes next is Slurm's to say, and a cancelled job must stay so
state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)
[ "$state" = RUNNING ] || fail 75 "stopped by Slurm ($state); the records are kept"
[ -z "$early" ] ||
    fail 64 "the warning before the time limit came after less than ${EARLY_SECONDS:-60} s; ask for a longer --time, or a shorter --signal=B:USR1@SECONDS"
[ "${SLURM_RESTART_COUNT:-0}" -lt "${MAX_RESTARTS:-100}" ] ||
    fail 75 "runs are left after ${MAX_RESTARTS:-100} restarts (MAX_RESTARTS); the same sbatch goes on"
echo 'sweep: runs are left: back into the queue'
scontrol requeue "$SLURM_JOB_ID" || fail 75 'runs are left, and this job may not start again; the same sbatch goes on'
exit 75
