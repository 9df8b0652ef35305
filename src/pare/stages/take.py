"""One network of a cohort: the cheap choice after the dear training, so a sweep over students trains once."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pare.checkpoint import Checkpoint, Format
from pare.errors import StageFailed
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Take(Stage):
    """Goes on with the student of this name."""

    student: str

    accepts: ClassVar[Format | None] = "cohort"
    produces: ClassVar[Format] = "torch"

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        cohort = inputs["model"]
        if self.student not in cohort.members:
            raise StageFailed(
                f"take.student: no {self.student!r} in the cohort, which has {list(cohort.members)}"
            )
        shutil.copytree(cohort.path / self.student, context.output, dirs_exist_ok=True)
