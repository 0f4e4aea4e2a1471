"""Settings of how weights follow their gradient: optimiser, schedule, averaging, and when to stop."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from segspade_core.config.base import BY_KIND, Frozen

Fraction = Annotated[float, Field(gt=0, lt=1)]


class _Optimiser(Frozen):
    """What every optimiser has."""

    lr: float = Field(1e-4, gt=0, title="Learning rate", description="the schedule's highest")
    weight_decay: float = Field(0.0, ge=0, title="Weight decay")
    decay_norms_and_biases: bool = Field(
        False, title="Decay norms and biases", description="as well; else only what multiplies is decayed"
    )
    encoder_lr: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Encoder's rate",
        description="factor on the learning rate of the encoder, which was often trained before",
        examples=[0.1],
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        title="Layer decay",
        description="each stage of the encoder learns by this factor slower than what comes after it",
        examples=[0.75],
    )
    frozen_encoder_epochs: int = Field(
        0, ge=0, title="Frozen epochs", description="first so many epochs in which the encoder does not learn"
    )
    clip_norm: float | None = Field(
        None, gt=0, title="Gradient norm", description="longer gradients are shortened to it; none: never"
    )


class AdamConfig(_Optimiser):
    """Adam; its weight decay is added to the gradient (L2), which Adam scales: AdamW decays as it says."""

    kind: Literal["adam"] = Field("adam", title="Optimiser")
    betas: tuple[float, float] = Field((0.9, 0.999), title="Betas", description="of the two running means")
    eps: float = Field(1e-8, gt=0, title="Epsilon", description="added to the root of the second mean")

    @model_validator(mode="after")
    def _betas_are_shares(self) -> Self:
        _check_betas(self.betas)
        return self


class AdamWConfig(_Optimiser):
    """Adam with weight decay of its own, apart from the gradient."""

    kind: Literal["adamw"] = Field("adamw", title="Optimiser")
    weight_decay: float = Field(0.01, ge=0, title="Weight decay")
    betas: tuple[float, float] = Field((0.9, 0.999), title="Betas", description="of the two running means")
    eps: float = Field(1e-8, gt=0, title="Epsilon", description="added to the root of the second mean")

    @model_validator(mode="after")
    def _betas_are_shares(self) -> Self:
        _check_betas(self.betas)
        return self


class SGDConfig(_Optimiser):
    """Stochastic gradient descent; the defaults are those of Zhao et al., PSPNet, CVPR 2017, section 5.1."""

    kind: Literal["sgd"] = Field("sgd", title="Optimiser")
    lr: float = Field(1e-2, gt=0, title="Learning rate", description="the schedule's highest")
    weight_decay: float = Field(1e-4, ge=0, title="Weight decay", description="added to the gradient (L2)")
    momentum: float = Field(0.9, ge=0, lt=1, title="Momentum")
    nesterov: bool = Field(False, title="Nesterov", description="looks ahead along the momentum")

    @model_validator(mode="after")
    def _looks_along_something(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov looks ahead along the momentum: momentum must be above 0")
        return self


def _check_betas(betas: tuple[float, float]) -> None:
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas {list(betas)}: each must be at least 0 and below 1")


def _kind_unless_said(kind: str) -> BeforeValidator:
    def add(value: Any) -> Any:
        return {"kind": kind, **value} if isinstance(value, dict) else value

    return BeforeValidator(add)


OptimiserConfig = Annotated[AdamConfig | AdamWConfig | SGDConfig, BY_KIND, _kind_unless_said("adam")]


class _Schedule(Frozen):
    """What every schedule has: a linear rise at the start."""

    warmup_steps: int = Field(0, ge=0, title="Warm-up steps", description="in which the rate rises linearly")
    warmup_share: float = Field(
        0.0, ge=0, lt=1, title="Warm-up share", description="of all epochs, in place of a number of steps"
    )

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.warmup_steps and self.warmup_share:
            raise ValueError("warmup_steps and warmup_share both say how long the warm-up is: give one")
        return self


class ConstantSchedule(_Schedule):
    """The same rate all along."""

    kind: Literal["constant"] = Field("constant", title="Schedule")


class PolySchedule(_Schedule):
    """Falls as a power of what is left, as DeepLab and most that came after."""

    kind: Literal["poly"] = Field("poly", title="Schedule")
    power: float = Field(0.9, gt=0, le=10, title="Power", description="1 falls linearly")
    end: float = Field(0.0, ge=0, lt=1, title="End", description="share of the rate that the end would reach")


class CosineSchedule(_Schedule):
    """Falls as half a cosine: slowly at first and at the end."""

    kind: Literal["cosine"] = Field("cosine", title="Schedule")
    end: float = Field(0.0, ge=0, lt=1, title="End", description="share of the rate that the end would reach")


class OneCycleSchedule(_Schedule):
    """Rises to the highest rate and falls far below where it began."""

    kind: Literal["one_cycle"] = Field("one_cycle", title="Schedule")
    rise: Fraction = Field(0.3, title="Rise", description="share of the steps before the highest rate")
    start: Fraction = Field(0.04, title="Start", description="share of the highest rate at the first step")
    end: Fraction = Field(4e-6, title="End", description="share of the highest rate at the last step")
    shape: Literal["cosine", "linear"] = Field("cosine", title="Shape", description="of rise and fall")
    momentum: tuple[Fraction, Fraction] | None = Field(
        None,
        title="Momentum",
        description="highest and lowest, which move against the rate (Adam: first beta); none: the "
        "optimiser's own all along",
        examples=[[0.95, 0.85]],
    )

    @model_validator(mode="after")
    def _highest_first(self) -> Self:
        if self.momentum is not None and self.momentum[0] < self.momentum[1]:
            raise ValueError(f"momentum {list(self.momentum)}: the highest comes first, such as [0.95, 0.85]")
        return self


ScheduleConfig = Annotated[
    ConstantSchedule | PolySchedule | CosineSchedule | OneCycleSchedule,
    BY_KIND,
    _kind_unless_said("constant"),
]


class AveragingConfig(Frozen):
    """An exponential moving average of the weights, which is scored and published in their place."""

    decay: float = Field(0.999, ge=0, lt=1, title="Decay", description="share of the old average in the new")
    warm_up: bool = Field(
        True, title="Warm-up", description="a smaller decay at first, so that the start is soon forgotten"
    )


class EarlyStoppingConfig(Frozen):
    """When training ends before its last epoch."""

    patience: int = Field(
        10, ge=1, title="Patience", description="epochs in a row without a gain in val_miou that end it"
    )
    min_gain: float = Field(
        0.0, ge=0, lt=1, title="Smallest gain", description="over the best so far that counts, as a fraction"
    )
