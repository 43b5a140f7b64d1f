"""What can be recorded: a model with gradients, the optimizer that ends its steps, and the steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netsim.errors import InputError
from netsim.given import plain, shown, whole
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = "give numbers of 0 or more, such as 0,10,100"


def check_model(model: object) -> None:
    """Raise InputError where `model` is no torch.nn.Module."""
    if isinstance(model, type):
        raise InputError(f"{model.__name__} is a class", f"give a model of it, as in {model.__name__}(...)", "model")
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"{shown(model)} is no torch.nn.Module", "give the model whose forward is called", "model")


def trained(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """Return names and parameters that get gradients; raise InputError where there are none, or none to be recorded."""
    named = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    if not named:
        raise InputError("the model has no parameter that gets a gradient", "set requires_grad", "model")
    for name, one in named:
        if torch.nn.parameter.is_lazy(one):
            raise InputError(f"parameter {name!r} has no shape yet", "call the model once before", "model")
        if one.is_meta:
            raise InputError(
                f"parameter {name!r} is on device 'meta' and holds no values", "use model.to_empty", "model"
            )
        if not one.is_floating_point():
            raise InputError(f"parameter {name!r} is {one.dtype}", "record models of real numbers", "model")
    return named


def check_optimizer(optimizer: object, parameters: Sequence[torch.nn.Parameter]) -> None:
    """Raise InputError where `optimizer` is none of torch's kind; warn where it trains none of the parameters."""
    if not hasattr(optimizer, "register_step_pre_hook") or isinstance(optimizer, type):
        inner = getattr(optimizer, "optimizer", None)
        remedy = "give its `optimizer`" if inner is not None else "give the one whose step() ends a training step"
        raise InputError(f"{shown(optimizer)} is no torch.optim.Optimizer", remedy, "optimizer")
    own = {id(one) for group in getattr(optimizer, "param_groups", ()) for one in group["params"]}
    # Copies in higher precision may be what is stepped, so that this alone is no error.
    if own and not own & {id(one) for one in parameters}:
        problem = "the optimizer holds none of the model's parameters: is it that of another model?"
        warnings.warn(problem, stacklevel=5)


def captured_steps(steps: object) -> tuple[int, ...]:
    """Return the steps to capture in order; raise InputError where they are no numbers of steps."""
    given = plain(steps)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"steps cannot be {shown(steps)}", _STEPS, "steps")
    listed = list(given)
    try:
        chosen = tuple(sorted({whole(one, "steps") for one in listed}))
    except InputError as error:
        raise InputError(f"steps cannot be {shown(listed)}", _STEPS, "steps") from error
    if not chosen:
        raise InputError("steps cannot be []", _STEPS, "steps")
    return chosen


def one_number(loss: object) -> float:
    """Return a loss as a number; raise InputError where it is none."""
    try:
        return float(loss.detach() if isinstance(loss, torch.Tensor) else loss)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{shown(loss)} is no number", "log the mean loss of the step", "loss") from error
