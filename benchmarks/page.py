"""How long the page of a thousand jobs takes to open, and how large it is.

    python benchmarks/page.py [--quick] [--json FILE]

Headless Chromium and chromedriver, from a file, until charts and table are there and can be used; the middle
of five times, and the page of ten jobs beside it. The jobs are made up, `pare report` makes the page of them.
--quick: 100 jobs.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from running import Claim, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

TIMES = 5
SCHEMES = ("int8_static", "fp16")


def page_of(jobs: int, folder: Path) -> Path:
    from pare.cli import main
    from studies import grid

    widths = [0.2 + 0.7 * number * len(SCHEMES) / jobs for number in range(jobs // len(SCHEMES))]
    assert grid(folder, widths, SCHEMES, seeds=1, rows=50) == jobs
    assert main(["report", str(folder), "--to", str(folder / "page.html")]) == 0
    return folder / "page.html"


def seconds_to_open(driver: Any, page: Path) -> float:
    from selenium.webdriver.support.wait import WebDriverWait

    start = time.perf_counter()
    driver.get(page.as_uri())
    ready = "return document.documentElement.dataset.ready"
    WebDriverWait(driver, 60, poll_frequency=0.01).until(lambda it: it.execute_script(ready) == "true")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 jobs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the claims, too")
    arguments = parser.parse_args()
    jobs = 100 if arguments.quick else 1000
    seconds = size = None
    table = ["| jobs | opens in s | MB |", "| ---: | ---: | ---: |"]
    if shutil.which("chromedriver"):
        from test_page import chromium

        with tempfile.TemporaryDirectory() as root:
            driver = chromium(Path(root) / "profile")
            try:
                for count in (10, jobs):
                    page = page_of(count, Path(root) / str(count))
                    found = [seconds_to_open(driver, page) for _ in range(TIMES)]
                    seconds, size = statistics.median(found), page.stat().st_size / 1e6
                    table.append(f"| {count} | {seconds:.2f} | {size:.2f} |")
            finally:
                driver.quit()
    claims = [
        Claim(f"seconds until {jobs} jobs are shown", seconds, 2),
        Claim("megabytes of that page", size, 8),
    ]
    report("\n".join(table), claims, arguments.json)


if __name__ == "__main__":
    main()
