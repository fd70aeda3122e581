"""The public errors are the contract's, all of them."""

import postroom
from postroom import errors
from postroom_contract import errors as contract


def test_every_exception_is_public() -> None:
    """Nothing can be raised that an application could not name."""
    raised = {kind.__name__ for kind in contract.BY_CODE.values()}

    assert raised <= set(errors.__all__)
    assert raised | {"Category", "ErrorCode"} == set(errors.__all__)
    assert all(getattr(errors, name) is getattr(postroom, name) for name in errors.__all__)


def test_they_are_the_same_classes() -> None:
    """What the contract raises is what the application catches."""
    assert all(getattr(errors, kind.__name__) is kind for kind in contract.BY_CODE.values())
