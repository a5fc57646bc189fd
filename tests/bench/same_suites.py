"""Small suites for `same_numbers`: fixed steps, so that no number in them depends on time."""

from __future__ import annotations

METHODS = """\
methods:
  supervised:
  supervised_full:
  ua_mt:
  mc_net:
  action:
  action_pp:            # with fewer pixels a step, for time
    params: {queue: 1024, anchors: 64}
"""

SUITES = {
    "slices": f"""\
name: slices
dataset: phantom
preprocessing: {{size: [48, 48], resize: area}}
labelled: [3]
seeds: [0]
{METHODS}budget: {{steps: 18}}
engine:
  batch_size: 4
  channels_last: true
  validations: 3
  optimiser: {{learning_rate: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1.0e-4}}
""",
    "volumes": f"""\
name: volumes
dataset: phantom3d
preprocessing: {{size: [32, 32, 16], shrink: 2}}
labelled: [3]
seeds: [0]
{METHODS}budget: {{steps: 9}}
engine:
  batch_size: 2
  validations: 2
  window_stride: [32, 32, 16]
  validation_stride: [32, 32, 16]
  optimiser: {{learning_rate: 0.03, momentum: 0.9, nesterov: true, weight_decay: 1.0e-4}}
""",
    "searched": """\
name: searched
dataset: phantom
preprocessing: {size: [32, 32], resize: nearest}
labelled: [2]
subsets: [1]
seeds: [0, 1]
methods:
  ua_mt:
  action_pp:
    params: {queue: 1024, anchors: 64}
budget: {steps: 12}
engine:
  batch_size: 4
  validations: 2
search:
  trials: 3
  budget: {steps: 12}
  labelled: 2
  subset: 2
  seed: 10
  validations: 2
  engine:
    optimiser.learning_rate: {scale: log, values: [0.01, 0.3]}
""",
}
