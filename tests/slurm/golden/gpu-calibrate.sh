#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --cpus-per-task=4
#SBATCH --exclude=node7
#SBATCH --exclusive
#SBATCH --gres=gpu:a100:1
#SBATCH --job-name=tiny-calibrate-1
#SBATCH --mem=16384M
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=ROOT/runs/tiny/slurm/%j.log
#SBATCH --partition=gpu
#SBATCH --qos=normal
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --time=240

# setup
# USR1 comes before the time limit, TERM with preemption and scancel; Python checkpoints, and what is left is requeued
stopped= driver=
trap 'stopped=1; [ -z "$driver" ] || kill -USR1 "$driver" 2>/dev/null' USR1 TERM
module load cuda/12.6
module load gcc
export HARNESS_LOCAL_DATA="$TMPDIR/data"

# command
export SUBMITIT_EXECUTOR=slurm
code=75
if [ -z "$stopped" ]; then
  ROOT/venv/bin/python -P -m harness slurm-task ROOT/runs/tiny/slurm/tiny-calibrate-1.json &
  driver=$!
  while kill -0 "$driver" 2>/dev/null; do wait "$driver"; done  # a trap interrupts it
  wait "$driver"
  code=$?
fi
case $code in 75|138|143) ;; *) exit "$code" ;; esac
task=$SLURM_JOB_ID
if [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
  # not where somebody cancelled it, nor where Slurm requeues it by itself; PreemptMode=CANCEL would end it for good
  job=$(scontrol --oneliner show job "$task") begun=9
  [[ $job =~ " StartTime="([0-9T:-]+) ]] && begun=${BASH_REMATCH[1]}
  [[ $job =~ " PreemptTime="([0-9T:-]+) && ! ${BASH_REMATCH[1]} < $begun ]] && job=preempted
  case $job in preempted|*JobState=RUNNING*|*Reason=TimeLimit*) scontrol requeue "$task" ;; esac
fi
exit "$code"
