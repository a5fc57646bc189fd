#!/bin/bash

# Parameters
#SBATCH --cpus-per-task=1
#SBATCH --job-name=tiny-finish-1
#SBATCH --mem=4G
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=ROOT/runs/tiny/slurm/%j.log
#SBATCH --requeue
#SBATCH --signal=B:TERM@30
#SBATCH --time=30

# setup

# command
export SUBMITIT_EXECUTOR=slurm
ROOT/venv/bin/python -P -m harness slurm-task ROOT/runs/tiny/slurm/tiny-finish-1.json
