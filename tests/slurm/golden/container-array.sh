#!/bin/bash

# Parameters
#SBATCH --array=0-1%2
#SBATCH --constraint='a100|h100'
#SBATCH --cpus-per-task=1
#SBATCH --gres=gpu:1
#SBATCH --job-name=tiny-tasks-1
#SBATCH --mem=4096M
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=ROOT/runs/tiny/slurm/%A_%a.log
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --time=60

# setup
# USR1 comes before the time limit, TERM with preemption and scancel; Python checkpoints, and what is left is requeued
stopped= driver=
trap 'stopped=1; [ -z "$driver" ] || kill -USR1 "$driver" 2>/dev/null' USR1 TERM

# command
export SUBMITIT_EXECUTOR=slurm
code=75
if [ -z "$stopped" ]; then
  srun --ntasks=1 --cpus-per-task=1 apptainer exec --nv --bind ROOT/runs,/scratch/cache/phantom ROOT/h.sif python3 -P -m harness slurm-task ROOT/runs/tiny/slurm/tiny-tasks-1.json "$SLURM_ARRAY_TASK_ID" &
  driver=$!
  while kill -0 "$driver" 2>/dev/null; do wait "$driver"; done  # a trap interrupts it
  wait "$driver"
  code=$?
fi
case $code in 75|138|143) ;; *) exit "$code" ;; esac
task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID  # the bare id of one task is at times that of the whole array
if [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
  # not where somebody cancelled it, nor where Slurm requeues it by itself; PreemptMode=CANCEL would end it for good
  job=$(scontrol --oneliner show job "$task") begun=9
  [[ $job =~ " StartTime="([0-9T:-]+) ]] && begun=${BASH_REMATCH[1]}
  [[ $job =~ " PreemptTime="([0-9T:-]+) && ! ${BASH_REMATCH[1]} < $begun ]] && job=preempted
  case $job in preempted|*JobState=RUNNING*|*Reason=TimeLimit*) scontrol requeue "$task" ;; esac
fi
exit "$code"
