#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --cpus-per-task=2
#SBATCH --exclude=node7
#SBATCH --exclusive
#SBATCH --gres=gpu:1
#SBATCH --job-name=tiny-finish-1
#SBATCH --mem=8G
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=ROOT/runs/tiny/slurm/%j.log
#SBATCH --partition=cpu
#SBATCH --qos=normal
#SBATCH --requeue
#SBATCH --signal=B:TERM@30
#SBATCH --time=20

# setup
module load cuda/12.6
module load gcc
export HARNESS_LOCAL_DATA="$TMPDIR/data"

# command
export SUBMITIT_EXECUTOR=slurm
ROOT/venv/bin/python -P -m harness slurm-task ROOT/runs/tiny/slurm/tiny-finish-1.json
