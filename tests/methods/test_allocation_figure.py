from matplotlib.figure import Figure

from methods.action import ACTION
from methods.action_pp import ACTIONPP, ActionPPParams
from tests.methods.staged import small


def drawn(figure: Figure) -> int:
    figure.canvas.draw()
    return int(figure.bbox.width)


def test_a_method_with_centres_draws_them_and_others_nothing():
    method = small(ACTIONPP, centers_per_class=4)
    assert isinstance(method.params, ActionPPParams)
    arrays = {name: tensor.numpy() for name, tensor in method.arrays().items()}
    (name, figure), *others = method.figures(arrays, [method.diagnostics()]).items()
    assert (name, others) == ("centers", [])
    assert drawn(figure)
    assert small(ACTIONPP, centers=False).figures({}, [{}]) == small(ACTION).figures({}, [{}]) == {}
