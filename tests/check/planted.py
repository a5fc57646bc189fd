"""A sound method, and faults that are planted in a class derived from it: one at least for each line of the check."""

from typing import NamedTuple

SOUND = """
import importlib, os, pathlib, threading, time
import numpy as np, torch
from torch import nn
from harness.api.errors import UsageError
from harness.api.method import BatchPlan, Loss, Method, Stage
from harness.api.networks import backbone
from harness.api.params import MethodParams, hyper

class Weighted(MethodParams):
    weight: float = hyper(1.0, "of the loss", ge=0, search=(0.5, 2.0))
    width: int = hyper(4, "channels", ge=1, search=(2, 4), scale="choice")

class Sound(Method):
    name = "sound"
    Params = Weighted
    capturable = True

    def __init__(self, task, params):
        super().__init__(task)
        self.params = params
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if task.dimension == 2 else (nn.Conv3d, nn.BatchNorm3d)
        first, last = conv(task.channels, params.width, 3, padding=1), conv(params.width, task.n_classes, 3, padding=1)
        self.net = nn.Sequential(first, norm(params.width), nn.ReLU(), nn.Dropout(0.2), last)
        self.bank = nn.Buffer(torch.zeros(4))
        self.prepare()

    def prepare(self):
        pass

    @property
    def predictor(self):
        return self.net

    def training_loss(self, batch, stage, progress):
        images = self.change(batch.images)
        loss = self.labelled_loss(self.net(images), batch.labels)
        return Loss(self.params.weight * loss.total, loss.terms)

    def change(self, images):
        return images
"""

FAULTS = r"""
## definition: predictor is not defined
predictor = Method.predictor
## params: width changes the cost of a step
class Params(Weighted):
    width: int = hyper(4, "w", search=(2, 8))  #!
## builds: draws random numbers before backbone
def __init__(self, task, params):  #!
    super().__init__(task, params)
    self.net = backbone(task)
## builds: 3D: __init__ raises AssertionError
def prepare(self):
    assert self.task.dimension == 2  #!
## stages: stages has shares of 0\.5, 0\.4
stages = (Stage("a", 0.5), Stage("b", 0.4))
## stages: Params must be StagedParams
stages = (Stage("a", 0.5), Stage("b", 0.5))
## stages: asks for 4 . 4 images a step where the suite gives 4
def batches(self, stage, size):  #!
    return BatchPlan(size, size)
## predictor: predictor in evaluation mode answers twice in two ways
@property  #!
def predictor(self):
    self.net[3].forward = lambda x: nn.functional.dropout(x)
    return self.net
## loss: the total of the loss is nan in step 0
def change(self, images):
    return images / 0
## loss: stage train trains head.weight and 1 more, which no loss gives a gradient
def prepare(self):
    self.head = nn.Linear(2, 2)
## loss: the predictor's weights are after training what
@property  #!
def predictor(self):
    return self.other
def prepare(self):
    self.other = type(self.net)(*(type(self.net[0])(self.task.channels, self.task.n_classes, 1),))
    self.other.requires_grad_(False)
## host copies: training_loss waits for a value of the device
def change(self, images):
    return images * images.mean().item()  #!
## batch: a step writes into its batch \(mul_\)
def change(self, images):
    images[:, :, 0].mul_(0)  #!
    return images
## state: self.count changes in training and is not in the state dict
count = 0
def change(self, images):
    self.count += 1  #!
    return images * self.count
## randomness: draws from Python's or numpy's generator
def change(self, images):
    return images * np.random.rand()  #!
## randomness: two trainings from equal generators differ
def change(self, images):
    return images * (time.time_ns() % 1000)  #!
## randomness: seeds torch's generator anew
def change(self, images):
    torch.manual_seed(3)  #!
    return images
## randomness: self.draws is a generator of its own
def prepare(self):
    self.draws = torch.Generator()  #!
## side effects: changes torch's cudnn flags
def change(self, images):
    torch.backends.cudnn.benchmark = True  #!
    return images
## side effects: two instances in one process disturb each other
shared = torch.ones(1)
def change(self, images):
    self.shared.mul_(1.1)
    return images * self.shared
## augmentation: 16 of 16 compared images were altered, declared is nothing
def change(self, images):
    return images + 0.1
## augmentation: declared is mixed, none of 16 compared images was
augmentation = ("mixed",)
## capture: stage train, recorded once and replayed, trains otherwise
def after_step(self, stage, progress):
    self.steps += 1  #!
    self.bank.fill_(self.steps)
steps = 0
## test split: imports harness.data.cache.Cache
def change(self, images):
    from harness.data.cache import Cache  #!
    return images
## test split: imports harness.suite.registry.load_dataset
def prepare(self):
    from harness.suite.registry import load_dataset  #!
    self.labels_of_all = [source.load().label for source in load_dataset("phantom").sources(None)]
## test split: asked for as if they were development cases
def change(self, images):
    module = importlib.import_module("harness.data.cache")
    module.Cache(pathlib.Path("."), None).cases("test")  #!
    return images
## budget: training_loss updates net.0.weight itself
def training_loss(self, batch, stage, progress):  #!
    super().training_loss(batch, stage, progress).total.backward()
    torch.optim.SGD(self.net.parameters(), lr=0.1).step()
    return super().training_loss(batch, stage, progress)
## budget: other threads computed
def change(self, images):
    busy = threading.Thread(target=lambda: [sum(range(10**6)) for _ in range(9)])
    busy.start()
    busy.join()
    return images
## budget: diagnostics changes parameters or buffers outside the clock
def diagnostics(self):  #!
    self.bank += 1
    return {}
## cost: scale = 3.0 changes the work of a step of train by .*; declare cost=True
class Params(Weighted):
    scale: float = hyper(1.0, "of the work", gt=0, search=(1.0, 3.0))  #!
def change(self, images):
    return sum(self.net(images).mean() for _ in range(int(self.params.scale))) * images
## cost: repeats = 2 changes the work of a step of train by .*; declare cost=True
class Params(Weighted):
    repeats: int = hyper(1, "of the work", ge=1, cost=False)  #!
def change(self, images):
    return sum(self.net(images).mean() for _ in range(self.params.repeats)) * images
## cost: on_progress does .* of a step's work at a point of stage train, and events\(stage\) is 0
def on_progress(self, stage, progress):  #!
    self.net(torch.rand(4, 1, *self.task.size))
"""


class Fault(NamedTuple):
    """The line that must fail, what it must say (a pattern), and the body of the class; #! marks the place."""

    line: str
    text: str
    body: str


def faults() -> list[Fault]:
    heads = [block.partition("\n") for block in FAULTS.split("\n## ")[1:]]
    return [Fault(line, text, body) for head, _, body in heads for line, _, text in [head.partition(": ")]]
