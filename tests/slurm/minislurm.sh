#!/usr/bin/env bash
# minislurm.sh - a real Slurm (slurmctld, two slurmd, munged, slurmdbd, mariadbd) in one state directory, for tests.
#
#   minislurm.sh up     DIR       bring up
#   minislurm.sh clean  DIR       cancel jobs, stop only what was started for DIR, remove its files
#
# MS_NETNS=1 (root only; remembered in DIR/minislurm.env): every node is its own net+pid+uts+mnt+ipc namespace.
# Partitions low < main < high preempt.  Nothing is enforced on cpu or memory (no cgroup); processes are found again by
# MINISLURM_OWNED=DIR in their environment.
set -u
PATH=$PATH:/usr/sbin:/sbin
die() { echo "minislurm: $*" >&2; exit 1; }

# ---- process book-keeping: every daemon carries MINISLURM_OWNED=DIR in its environment ----
mine() { # pids of this DIR's daemons (and whatever they forked: slurmstepd)
  grep -lzxF "MINISLURM_OWNED=$D" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | grep -vx "$$"
}
orphans() { # processes of DIR's jobs that daemonized out of Slurm's sight (proctrack/linuxproc follows ppid only)
  local f; for f in $(grep -lzxF "SLURM_CONF=$D/etc/slurm.conf" /proc/[0-9]*/environ 2>/dev/null); do
    grep -qzxF "SLURM_CLUSTER_NAME=mini" "$f" 2>/dev/null && echo "$f" | cut -d/ -f3; done | grep -vx "$$"
}
alive() { local p; p=$(cat "$D/run/$1.pid" 2>/dev/null) && [ -n "$p" ] && grep -qzxF "MINISLURM_OWNED=$D" "/proc/$p/environ" 2>/dev/null; }
waitgone() { local p=$1 t=$2; while kill -0 "$p" 2>/dev/null && [ "$(ps -o stat= -p "$p" 2>/dev/null | cut -c1)" != Z ] && [ "$t" -gt 0 ]; do sleep 0.1; t=$((t-1)); done; [ "$t" -gt 0 ]; }
stopd() { alive "$1" || return 0; local p; p=$(cat "$D/run/$1.pid"); kill "$p"; waitgone "$p" 100 || { kill -9 "$p" 2>/dev/null; waitgone "$p" 20; }; }
port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
own() { ( exec 9>&-; exec env MINISLURM_OWNED="$D" SLURM_CONF="$D/etc/slurm.conf" "$@" ) ; }   # 9 = the lock
ownbg() { ( exec 9>&-; exec env MINISLURM_OWNED="$D" SLURM_CONF="$D/etc/slurm.conf" setsid "$@" ) & }

NODES="node1 node2"

write_conf() {
  local me i ctl=127.0.0.1; me=$(id -un)
  if [ "$MS_NETNS" = 1 ]; then ctl=$NET.254; fi
  # fictitious GPUs: regular files and Count= without File= do NOT work; character devices do
  local gdev="$D/dev/nvidia[0-1]"
  for i in 0 1; do [ -c "$D/dev/nvidia$i" ] || mknod -m 666 "$D/dev/nvidia$i" c 1 3 2>/dev/null || gdev="/dev/tty[0-1]"; done
  printf '%s\n' "AutoDetect=off" "NodeName=node[1-2] Name=gpu File=$gdev Flags=nvidia_gpu_env" >"$D/etc/gres.conf"
  {
    cat <<C
ClusterName=mini
SlurmctldHost=localhost($ctl)
SlurmctldPort=$P0
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$D/run/munge.sock,cred_expire=5
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool/%n
SlurmctldPidFile=$D/run/slurmctld.pid
SlurmdPidFile=$D/run/slurmd.%n.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd.%n.log
SlurmctldDebug=info
SlurmdDebug=info
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SlurmdParameters=config_overrides
PropagateResourceLimitsExcept=MEMLOCK
GresTypes=gpu
JobRequeue=1
ReturnToService=2
SchedulerType=sched/backfill
PriorityType=priority/basic
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,bf_resolution=1
KillWait=2
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
MinJobAge=300
UnkillableStepTimeout=10
CompleteWait=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((P0+1))
AccountingStoragePass=$D/run/munge.sock
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos
C
    local n k=0
    for n in $NODES; do
      k=$((k+1))
      if [ "$MS_NETNS" = 1 ]; then
        echo "NodeName=$n NodeHostname=$n NodeAddr=$NET.$k Port=$((P0+9)) CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN"
      else
        echo "NodeName=$n NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((P0+9+k)) CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN"
      fi
    done
    cat <<C
PartitionName=main Nodes=ALL Default=YES MaxTime=60 DefaultTime=5 PriorityTier=5 PreemptMode=OFF State=UP
PartitionName=low  Nodes=ALL MaxTime=60 DefaultTime=5 PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 State=UP
PartitionName=high Nodes=ALL MaxTime=60 DefaultTime=5 PriorityTier=10 PreemptMode=OFF State=UP
C
  } >"$D/etc/slurm.conf"
  cat >"$D/etc/slurmdbd.conf" <<C
AuthType=auth/munge
AuthInfo=socket=$D/run/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((P0+1))
SlurmUser=$me
LogFile=$D/log/slurmdbd.log
PidFile=$D/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((P0+2))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
C
  chmod 600 "$D/etc/slurmdbd.conf"
}

start_munged() {
  mungekey -c -k "$D/etc/munge.key" || die "mungekey"
  chmod 600 "$D/etc/munge.key"
  # --force: allow a state dir below a group/world-writable, e.g. pytest's, directory
  own munged --force --key-file="$D/etc/munge.key" --socket="$D/run/munge.sock" --pid-file="$D/run/munged.pid" \
    --log-file="$D/log/munged.log" --seed-file="$D/state/munged.seed" 2>>"$D/log/munged.err" || { cat "$D/log/munged.err" >&2; die "munged"; }
}

start_db() {
  local me; me=$(id -un)
  mariadb-install-db --no-defaults --user="$me" --datadir="$D/mysql" --auth-root-authentication-method=socket \
    --auth-root-socket-user="$me" --skip-test-db >"$D/log/mariadb-install.log" 2>&1 || die "mariadb-install-db, see $D/log"
  ownbg mariadbd --no-defaults --user="$me" --datadir="$D/mysql" --socket="$D/run/mariadb.sock" --pid-file="$D/run/mariadbd.pid" \
    --bind-address=127.0.0.1 --port=$((P0+2)) --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0 \
    --innodb-lock-wait-timeout=900 --performance-schema=0 --skip-name-resolve --log-error="$D/log/mariadbd.log" </dev/null >/dev/null 2>&1
  local t=150; until mariadb-admin --no-defaults -S "$D/run/mariadb.sock" ping >/dev/null 2>&1; do sleep 0.1; t=$((t-1)); [ $t -gt 0 ] || die "mariadbd, see $D/log/mariadbd.log"; done
  mariadb --no-defaults -S "$D/run/mariadb.sock" -e "create user slurm@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to slurm@'127.0.0.1';"
  own slurmdbd || die slurmdbd
  export SLURM_CONF=$D/etc/slurm.conf
  t=100; until sacctmgr -n show cluster >/dev/null 2>&1; do sleep 0.1; t=$((t-1)); [ $t -gt 0 ] || { tail "$D/log/slurmdbd.log" >&2; die "slurmdbd, see $D/log/slurmdbd.log"; }; done
  sacctmgr -iQ add cluster mini >/dev/null
  sacctmgr -iQ add account test Description=test Organization=test >/dev/null
  local u; for u in "$me" root; do sacctmgr -iQ add user "$u" Account=test DefaultAccount=test >/dev/null 2>&1; done
}

# ---- the nodes' network ----
taken() { ip -4 -o addr | grep -q " $1.254/"; }
make_bridge() { # sets NET, the first three octets; one cluster of this machine at a time, so that no two take the same
  local lock=${TMPDIR:-/tmp}/minislurm-$(id -u).lock i
  exec 8>"$lock"; flock -w 60 8 || die "$lock is locked"
  ip link show "${TAG}br" >/dev/null 2>&1 && ip link del "${TAG}br"
  for i in $(seq 77 255) $(seq 0 76); do NET=198.18.$i; taken "$NET" || break; done
  taken "$NET" && die "no subnet of 198.18.0.0/16 is free"
  ip link add "${TAG}br" type bridge && ip link set "${TAG}br" up && ip addr add "$NET.254/24" dev "${TAG}br" || die "bridge"
  exec 8>&-
}

# ---- a node ----
start_node() {
  local n=$1 k=${1#node}
  mkdir -p "$D/spool/$n"; chmod 755 "$D/spool/$n"
  if [ "$MS_NETNS" != 1 ]; then own slurmd -N "$n" || die "slurmd $n"; return; fi
  mkdir -p "$D/nodes/$n"
  # init of the node: own pid/net/uts/mnt/ipc namespaces; when it dies the kernel kills all of the node
  cat >"$D/nodes/$n/init.sh" <<I
#!/bin/bash
hostname $n
mount --bind $D/etc/hosts /etc/hosts
mount -t tmpfs -o size=2g,mode=1777 shm /dev/shm
echo \$(readlink /proc/self/ns/net) >$D/nodes/$n/ready
i=0; until [ -e $D/nodes/$n/net-ok ]; do sleep 0.02; i=\$((i+1)); [ \$i -gt 3000 ] && exit 1; done
ip link set lo up; ip link set eth0 up
slurmd -D -N $n &
pid=\$!
trap 'kill -TERM \$pid' TERM INT
while kill -0 \$pid 2>/dev/null; do wait \$pid; done
I
  ownbg unshare --net --uts --mount --ipc --pid --fork --mount-proc --kill-child --propagation private \
    bash "$D/nodes/$n/init.sh" </dev/null >"$D/log/init.$n.log" 2>&1
  local t=250 pid=""
  until [ -e "$D/nodes/$n/ready" ]; do sleep 0.02; t=$((t-1)); [ $t -gt 0 ] || { cat "$D/log/init.$n.log" >&2; die "node $n: namespaces"; }; done
  # find the namespace's init: pid 1 in there (a child of its own has the same command line until it execs)
  pid=$(for p in $(mine); do [ -r /proc/$p/cmdline ] && [ "$(tr '\0' ' ' 2>/dev/null </proc/$p/cmdline)" = "bash $D/nodes/$n/init.sh " ] && grep -q '^NSpid:.*[[:space:]]1$' "/proc/$p/status" 2>/dev/null && echo "$p"; done | head -1)
  [ -n "$pid" ] || die "node $n: init pid"
  echo "$pid" >"$D/run/init.$n.pid"
  ip link add "${TAG}v$k" type veth peer name eth0 netns "$pid" || die "veth (is eth0 free in the new namespace?)"
  ip link set "${TAG}v$k" master "${TAG}br" up
  nsenter -t "$pid" -n ip addr add "$NET.$k/24" dev eth0
  : >"$D/nodes/$n/net-ok"
}
cmd_up() {
  : "${MS_NETNS:=0}"
  local c; for c in slurmctld slurmd munged mungekey sbatch slurmdbd mariadbd; do command -v $c >/dev/null || die "$c not found"; done
  [ "$MS_NETNS" = 1 ] && [ "$(id -u)" != 0 ] && die "MS_NETNS=1 needs root"
  # 40 ports in a row, start derived from DIR so that two clusters rarely race
  local h p ok; h=$(printf %s "$D" | cksum | cut -d' ' -f1); P0=$((20000 + (h % 250) * 40))
  while :; do ok=1; for p in $P0 $((P0+1)) $((P0+2)) $((P0+9)) $((P0+10)) $((P0+11)); do port_free "$p" || ok=0; done; [ $ok = 1 ] && break; P0=$((P0+40)); [ $P0 -gt 31000 ] && P0=20000; done
  TAG=ms$(printf '%05x' $((h % 1048576))) NET=
  [ "$MS_NETNS" = 1 ] && make_bridge
  mkdir -p "$D"/{etc,run,log,state,spool,dev,nodes}; chmod 755 "$D" "$D"/{etc,run,log,spool,dev,nodes}
  printf '%s\n' "MS_NETNS=$MS_NETNS" "TAG=$TAG" >"$D/minislurm.env"
  write_conf
  if [ "$MS_NETNS" = 1 ]; then
    printf '%s\n' "127.0.0.1 localhost" "$NET.254 controller" "$NET.1 node1" "$NET.2 node2" >"$D/etc/hosts"
  fi
  start_munged
  start_db
  own slurmctld || { tail "$D/log/slurmctld.log" >&2; die slurmctld; }
  local n; for n in $NODES; do start_node "$n"; done
  local t=600; until [ "$(sinfo -h -N -p main -t idle -o %N 2>/dev/null | sort -u | wc -l)" = 2 ]; do sleep 0.1; t=$((t-1)); [ $t -gt 0 ] || { sinfo -N -o '%N %t %E' >&2; for l in "$D"/log/slurm*.log; do tail -n 5 "$l" >&2; done; die "nodes not idle in 60 s"; }; done
}

stop_all() {
  export SLURM_CONF=$D/etc/slurm.conf
  queued() { timeout 5 squeue -h -o %A 2>/dev/null; }
  if alive slurmctld; then
    timeout 5 scancel --full --signal=KILL --state=RUNNING $(queued) 2>/dev/null
    timeout 5 scancel $(queued) 2>/dev/null
    local t=30; while [ $t -gt 0 ] && [ -n "$(queued)" ]; do sleep 0.1; t=$((t-1)); done
  fi
  local d; for d in init.node1 init.node2 slurmd.node1 slurmd.node2 slurmctld slurmdbd mariadbd munged; do stopd $d; done
  # stragglers (slurmstepd and steps that outlived their slurmd), by pid, only ours
  local left; left="$(mine) $(orphans)"; [ "$left" != " " ] && { kill -TERM $left 2>/dev/null; sleep 0.5; left="$(mine) $(orphans)"; [ "$left" != " " ] && kill -9 $left 2>/dev/null; }
  [ "${MS_NETNS:-0}" = 1 ] && ip link del "${TAG}br" 2>/dev/null
  return 0
}

act=${1:-} D=${2:-}
[ -n "$D" ] || die "usage: $0 up|clean DIR"
D=$(realpath -m -- "$D")
[ "$act" = up ] && mkdir -p "$D"
if [ -d "$D" ]; then exec 9>"$D/.lock"; flock -w 120 9 || die "locked"; fi
case $act in
  up) cmd_up;;
  clean) [ -f "$D/minislurm.env" ] || exit 0; . "$D/minislurm.env"; stop_all; rm -rf "$D"/{etc,run,log,state,spool,dev,nodes,mysql,minislurm.env,.lock}; rmdir "$D" 2>/dev/null; true;;
  *) die "unknown action $act";;
esac
