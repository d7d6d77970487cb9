"""Configuration of behaviour cloning; free of torch, so that a mistake is answered at once."""

from __future__ import annotations

from dataclasses import dataclass

from li_env.agents.config_checks import check_counts
from li_env.validation import check_choice, check_number


@dataclass(frozen=True)
class BCConfig:
    """Settings of behaviour cloning; the same keys in YAML, beside ``agent: bc``.

    Attributes:
        epochs: passes over the decisions of the dataset.
        batch_size: decisions of a gradient step.
        learning_rate: learning rate of AdamW.
        target: action to imitate: ``teacher`` (column ``teacher.action``), ``action`` (the one that ran), or ``auto``,
            which takes the teacher's where the dataset has it.
        split: episodes to learn from: ``train`` or ``all``.
        seed: seed of the network and the order of the decisions.
    """

    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 1e-3
    target: str = "auto"
    split: str = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self)
        check_number("learning_rate", self.learning_rate, 0, 1, above=True)
        check_choice("target", self.target, ("auto", "teacher", "action"))
        check_choice("split", self.split, ("train", "all"))
