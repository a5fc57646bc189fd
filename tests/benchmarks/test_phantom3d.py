from benchmarks.phantom3d import Phantom3D
from harness.data.digests import array_sha256


def test_a_case_is_what_it_always_was():
    """Fails when the generator or numpy's streams change: then raise Phantom3D.version and write down the new hash."""
    case = Phantom3D().sources(None)[0].load()
    assert case.id == "atrium001"
    assert array_sha256(case.image)[:16] == "821c0d4ed108b98c"
    assert array_sha256(case.label)[:16] == "0d78082d492fed7a"
