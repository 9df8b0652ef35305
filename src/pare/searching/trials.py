"""The trials of a search in Optuna's hands: asked in batches, told how they ended, kept in a file.

Whoever searches holds the file's lock, so a trial that is running there when it is opened is one that was
killed: it runs again. One that had not all its values yet is taken out, and asked as if for the first time.
"""

import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, Trial, TrialState

from pare.aims import Quantities, Search
from pare.errors import ConfigError
from pare.files import disk_full_reported, locked
from pare.searching.asked import Asked, Found
from pare.searching.space import Point, Space

NAME = "search"
POINT, FOUND, RUNGS, IDENTITY, END = "point", "found", "rungs", "identity", "end"

optuna.logging.set_verbosity(optuna.logging.ERROR)  # what there is to say is said here


class Trials:
    """Opened by `opened` or, to keep nothing, by `forgotten`."""

    def __init__(self, storage: BaseStorage, search: Search, space: Space) -> None:
        self.storage, self.search, self.space = storage, search, space
        directions = list(search.directions.values())
        self.study = optuna.create_study(
            storage=storage, study_name=NAME, load_if_exists=True, directions=directions
        )

    def batch(self) -> list[Asked]:
        """Those that still run with those that a kill left unasked, or new ones; none at the end."""
        running = [one for one in self.all() if one.found is None]
        begun = len(self.study.get_trials(deepcopy=False))
        end = self.study.user_attrs.get(END, 0)
        if not running and begun >= end:  # noted before any is asked, so that a kill takes away none
            end = begun + self.search.batch
            self.study.set_user_attr(END, end)
        if self.search.trials is not None:
            end = min(end, self.search.trials)
        if self.search.sampler == "grid":
            return running + [self.ask(point) for point in islice(self.space.points(), begun, end)]
        return running + [self.ask() for _ in range(begun, end)]

    def ask(self, point: Point | None = None) -> Asked:
        """A new trial. point: what it has, where that is not for the sampler to say."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = sampler_of(self.search, number) if point is None else Given(point)
        trial = self.study.ask()
        chosen = self.space.ask(trial)
        trial.set_user_attr(POINT, chosen)
        return Asked(trial.number, chosen, (), None)

    def trial(self, number: int) -> Trial:
        study = self.storage.get_study_id_from_name(NAME)
        return Trial(self.study, self.storage.get_trial_id_from_study_id_trial_number(study, number))

    def climbed(self, asked: Asked, found: Found) -> Asked:
        """Notes what it came to on a rung."""
        rungs = [*asked.rungs, found.known]
        self.trial(asked.number).set_user_attr(RUNGS, rungs)
        return Asked(asked.number, asked.point, rungs, None)

    def tell(self, asked: Asked, found: Found) -> None:
        trial = self.trial(asked.number)
        trial.set_user_attr(FOUND, asdict(found))
        if found.passing:
            return  # Optuna takes up no trial that it was told of
        for name, excess in self.search.excesses(found.known).items():
            if name not in trial.constraints:
                trial.set_constraint(name, excess)
        if found.state == "complete":
            self.study.tell(asked.number, [float(found.known[name] or 0) for name in self.search.directions])
        else:
            self.report(trial, asked.rungs)
            state = TrialState.PRUNED if found.state == "pruned" else TrialState.FAIL
            self.study.tell(asked.number, state=state)

    def take_up(self) -> None:
        """What failed for a passing reason runs again."""
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if trial.user_attrs.get(FOUND):
                self.trial(trial.number).set_user_attr(FOUND, None)

    def report(self, trial: Trial, rungs: Sequence[Quantities]) -> None:
        """What TPE learns from a trial that was given up; it asks for one objective only."""
        names = list(self.search.directions)
        if len(names) == 1 and rungs and not self.study.trials[trial.number].intermediate_values:
            trial.report(float(rungs[-1][names[0]] or 0), len(rungs))

    def all(self) -> list[Asked]:
        return [asked_of(trial) for trial in self.study.get_trials(deepcopy=False)]

    def front(self) -> list[Asked]:
        """The Pareto set of those that keep all limits, each point once, by the first objective."""
        name, direction = next(iter(self.search.directions.items()))
        once = {
            str(one.point): one for one in reversed([asked_of(trial) for trial in self.study.best_trials])
        }

        def worth(one: Asked) -> float:
            assert one.found is not None
            return float(one.found.known[name] or 0)

        return sorted(once.values(), key=worth, reverse=direction == "maximize")


def asked_of(trial: FrozenTrial) -> Asked:
    told = trial.user_attrs.get(FOUND)
    found = None if told is None else Found(**told)
    return Asked(trial.number, trial.user_attrs.get(POINT, {}), trial.user_attrs.get(RUNGS, ()), found)


class Given(BaseSampler):
    """Takes what is given."""

    def __init__(self, point: Point) -> None:
        self.point = point

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        text = self.point[param_name]
        if isinstance(param_distribution, CategoricalDistribution):
            return text
        return float(text)


def sampler_of(search: Search, number: int) -> BaseSampler:
    """Seeded anew for each trial: who goes on after a kill asks what would have been asked without it."""
    seed = random.Random(f"{search.seed} {number}").getrandbits(32)
    if search.sampler == "tpe":
        return TPESampler(seed=seed, constant_liar=True)  # or the trials of a batch would be all alike
    if search.sampler == "nsga2":
        whole = search.batch // search.factor ** (search.heights - 1)  # only these become parents
        return NSGAIISampler(seed=seed, population_size=max(2, whole))
    return RandomSampler(seed=seed)


def forgotten(search: Search, space: Space) -> Trials:
    return Trials(InMemoryStorage(), search, space)


@contextmanager
def opened(file: Path, search: Search, space: Space, identity: str) -> Iterator[Trials]:
    """identity: of what is searched; a file of other searches is refused."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.with_name(f"{file.name}.lock"), wait=False) as free:
        if not free:
            raise ConfigError(f"sweep.search.storage: {file} is in use by another search")
        trials = Trials(storage_of(file), search, space)
        known = trials.study.user_attrs.setdefault(IDENTITY, identity)
        if known != identity:
            raise ConfigError(
                f"sweep.search.storage: {file} holds a search of something else: of other keys, settings, "
                "data, hardware or code; name another file"
            )
        trials.study.set_user_attr(IDENTITY, identity)
        trials.take_up()
        yield trials


def storage_of(file: Path) -> JournalStorage:
    try:
        if file.exists():
            text = file.read_bytes()
            if (whole := asked_by(text)) < len(text):
                os.truncate(file, whole)  # a process was killed while it wrote the rest
        return JournalStorage(Journal(str(file), Ours(str(file))))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ConfigError(f"sweep.search.storage: {file} cannot be read as one: {e}") from None


def asked_by(text: bytes) -> int:
    """Up to where a journal is whole: without half a line, and without a trial that lacks some values."""
    place = whole = 0
    asking = False
    for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
        entry = json.loads(line)  # Optuna would pass over a last line that is none
        asking = asking or entry["op_code"] == JournalOperation.CREATE_TRIAL
        place += len(line)
        if entry["op_code"] == JournalOperation.SET_TRIAL_USER_ATTR and POINT in entry["user_attr"]:
            asking = False
        if not asking:
            whole = place
    return whole


class Journal(JournalFileBackend):
    def __init__(self, path: str, lock: JournalFileOpenLock) -> None:
        super().__init__(path, lock)
        self.path = Path(path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with disk_full_reported(self.path.parent, self.path.name):
            super().append_logs(logs)


class Ours(JournalFileOpenLock):
    """The whole file is locked by who has it open; a lock of Optuna's would outlive its holder by 30 s."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass
