"""What `run.py` needs around Hydra: exit codes, and errors in one line."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hydra.conf import OverridesConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pare.composition import REFUSALS, one_line, override_keys, plain
from pare.errors import ConfigError, PareError
from pare.files import make_writable
from pare.machine import number_gpus_as_told
from pare.printing import print_on_unread
from pare.stopping import listen

#: why what is asked of a sweep is not done with a job that comes here, by whether it is one of several
NOT_HERE = {
    False: "is for sweeps; -m makes one of a single job",
    True: "is for what hydra/launcher=pare plans; no other launcher knows of it",
}
#: settings of sweeps that promise what would not be done here; typed, since a sweep's file may have them too
PROMISES = ("sweep.timeout_s", "sweep.search")
#: exit codes of single jobs, whose errors Hydra would decorate if it saw them
_codes: list[int] = []


def job(cfg: DictConfig) -> None:
    """One job. What fails is said at once, in one line; in a sweep the launcher hears of it too."""
    from pare.experiment import run  # imports torch, which must wait until Hydra has parsed

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    sweep = hydra.mode == RunMode.MULTIRUN
    group = folder.parent.name if sweep else folder.name
    try:
        if vain := asked_in_vain(cfg, typed(hydra.overrides), hydra.runtime.choices):
            raise ConfigError(f"{asked}: {NOT_HERE[sweep]}" for asked in vain)
        make_writable(folder, "hydra.sweep.dir" if sweep else "hydra.run.dir")
        run(plain(cfg), typed(hydra.overrides), folder, group)
    except Exception as e:
        _say(e)
        if sweep:
            raise
        _codes.append(_code_of(e))


def asked_in_vain(cfg: DictConfig, overrides: Sequence[str], choices: Mapping[str, str]) -> list[str]:
    """What only Pare's launcher does, of what is asked."""
    found = []
    if (engine := choices.get("engine", "local")) != "local":
        found.append(f"engine={engine}")
    if OmegaConf.select(cfg, "sweep.dry_run"):
        found.append("sweep.dry_run=true")
    for override, key in zip(overrides, override_keys(overrides), strict=True):
        setting = ".".join(key.split(".")[:2])
        if setting in PROMISES and OmegaConf.select(cfg, setting) is not None:
            found.append(override)
    return found


def typed(overrides: OverridesConf) -> list[str]:
    """As they were typed: an interpolation in one of them is meant for the config it changes."""
    found = OmegaConf.to_container(OmegaConf.create({"task": overrides.task}), resolve=False)
    assert isinstance(found, dict)
    return list(found["task"])


def guarded(main: Callable[[], None]) -> int:
    """Runs Hydra's `main` and returns the exit code: 0 done, 1 failed, 2 wrong configuration, 130 and 143."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing and exiting
    print_on_unread()
    number_gpus_as_told()
    listen()
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the store", file=sys.stderr)
        return 130
    except Exception as e:
        _say(e)
        return _code_of(e)
    return max(_codes, default=0)


def _code_of(error: Exception) -> int:
    if isinstance(error, PareError):
        return error.exit_code
    return 2 if _is_refusal(error) else 1


def _is_refusal(error: Exception) -> bool:
    """What Hydra raises before anything of ours ran, as it should or not: `model=null` is a ValueError."""
    if isinstance(error, REFUSALS):
        return True
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return "hydra.main" in modules and not any(
        name.partition(".")[0] in ("pare", "hydra_plugins") for name in modules if name != __name__
    )


def _say(error: Exception) -> None:
    """One line a problem for what a user can mend, a traceback for what only we can; each error once."""
    if getattr(error, "pare_said", False):
        return
    error.pare_said = True  # type: ignore[attr-defined]
    if isinstance(error, PareError):
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
    elif _is_refusal(error):
        print(f"error: {one_line(error)}", file=sys.stderr)
    else:
        traceback.print_exception(error)
