import pytest
import torch

from harness.api import views
from methods.supervised import Supervised
from methods.ua_mt import UAMT
from tests.methods.tiny import Recorder, batch_for, build, progress_at, step_loss


@pytest.fixture(autouse=True)
def _certain(monkeypatch):
    certain, real = views.Strength(jitter_probability=1.0, blur_probability=1.0), views.strong
    monkeypatch.setattr(views, "strong", lambda images, _strength: real(images, certain))


@pytest.mark.parametrize("strong", [False, True])
def test_supervised_sees_all_its_images_strongly(strong):
    method = build(Supervised, strong=strong)
    batch, net = batch_for(method), Recorder(method.net)
    step_loss(method, batch, method.stages[0], progress_at(0.5))
    same = [torch.equal(seen, given) for seen, given in zip(net.inputs[0], batch.images, strict=True)]
    assert same == [not strong] * 4


@pytest.mark.parametrize("strong", [False, True])
def test_ua_mt_s_student_sees_its_unlabelled_images_strongly_and_its_teacher_does_not(strong):
    method = build(UAMT, strong=strong, noise=0.0)
    batch = batch_for(method)
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    step_loss(method, batch, method.stages[0], progress_at(0.5))
    assert torch.equal(student.inputs[0][:2], batch.images)
    same = [torch.equal(seen, given) for seen, given in zip(student.inputs[0][2:], batch.unlabelled[0], strict=True)]
    assert same == [not strong] * 2
    assert torch.equal(teacher.inputs[0], batch.unlabelled[0])
