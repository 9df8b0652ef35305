"""Composes a job, or with -m a sweep of jobs, and carries it out."""

import sys

import hydra
from omegaconf import DictConfig

from pare.entry import guarded, job


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    job(cfg)


if __name__ == "__main__":
    sys.exit(guarded(main))
