"""The page in a real browser: what it shows, what one can do there, and that everybody can."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pare.cli import main
from studies import failed, gated, grid, job

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
waiting = pytest.importorskip("selenium.webdriver.support.wait")
pytest.importorskip("plotly", reason="plotly is not installed")
CHROMIUM = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium with chromedriver is installed"
)

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
EVIL = "</script><script>document.title='taken'</script><b>"


def chromium(profile: Path) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found = chromium(tmp_path_factory.mktemp("browser"))
    found.set_script_timeout(120)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    count = grid(root, [0.25, 0.5, 0.75], ["int8_static", "fp16"], seeds=2)
    failed(root / str(count), EVIL)
    assert main(["report", str(root)]) == 0
    return root / "report.html"


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials that chose a share, another file each, and a distance that some lack; of one a seed failed."""
    root = tmp_path_factory.mktemp("search")
    for number in range(24):
        distance = () if number % 4 == 0 else (f"depth.far={number}",)
        overrides = (f"compression.width.keep={0.2 + 0.029 * number:.4g}", f"path=of {number}", *distance)
        job(root / str(number), *overrides, right=0.7 + 0.008 * number, ms=0.2 + 0.03 * number, rows=50)
    job(root / "24", *overrides, seed=1, ms=0.9, rows=50)
    assert main(["report", str(root)]) == 0
    return root / "report.html"


@pytest.fixture
def page(browser: Any, study: Path) -> Iterator[Any]:
    with opened(browser, study) as found:
        yield found


@pytest.fixture
def searched(browser: Any, search: Path) -> Iterator[Any]:
    with opened(browser, search) as found:
        yield found


@contextmanager
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """Anew; nothing may have gone wrong in it by the end."""
    browser.get(file.as_uri())
    ready = "return document.documentElement.dataset.ready"  # the driver may come back before it is
    waiting.WebDriverWait(browser, 60).until(lambda it: it.execute_script(ready) == "true")
    yield browser
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def script(page: Any, code: str, *values: object) -> Any:
    return page.execute_script(code, *values)


def names(page: Any) -> list[str]:
    rows = "[...document.querySelectorAll('#table tbody tr')].filter((row) => !row.hidden)"
    found: list[str] = script(page, f"return {rows}.map((row) => row.cells[0].textContent)")
    return found


def press(page: Any, selector: str, *keys: str) -> None:
    """As a keyboard does."""
    page.find_element("css selector", selector).send_keys(*keys)


def copied(page: Any) -> str:
    """What the page says that it copied."""
    told: str = script(page, "return document.getElementById('said').textContent")
    return told


def choose(page: Any, select: str, value: str) -> None:
    page.find_element("css selector", f"#{select} option[value='{value}']").click()


def until(page: Any, code: str) -> Any:
    """What the code gives once that is something."""
    look = f"const look = () => {{ const x = (() => {{ {code} }})(); x ? done(x) : setTimeout(look, 20); }};"
    return page.execute_async_script(f"const done = arguments[0]; {look} look();")


def test_the_front_is_drawn_and_follows_the_axes(page: Any) -> None:
    listed = "return [...document.querySelectorAll('#front-list strong')].map((x) => x.textContent)"
    by_latency = script(page, listed)
    assert by_latency[0] == "width.keep=0.25 quantize=int8_static"
    assert script(page, "return document.querySelectorAll('#front-chart .point').length") == 6 + 1  # baseline
    choose(page, "across", "size_mb")
    assert script(page, "return document.querySelector('#front-chart .xtitle').textContent") == "size, MB"
    choose(page, "colour", "quantize")
    legend = script(page, "return [...document.querySelectorAll('.legendtext')].map((x) => x.textContent)")
    assert legend == ["quantize=fp16", "quantize=int8_static", "baseline"]


def test_equals_are_on_the_front_together(browser: Any, tmp_path: Path) -> None:
    for name, ms in (("one", 0.5), ("same", 0.5), ("slower", 0.6)):
        made = job(tmp_path / name, f"a={name}", ms=ms, rows=50)
        replace(made, scores={"exact_match": 0.9}).write(tmp_path / name)
    assert main(["report", str(tmp_path)]) == 0
    with opened(browser, tmp_path / "report.html") as page:
        listed = "return [...document.querySelectorAll('#front-list strong')].map((x) => x.textContent)"
        assert script(page, listed) == ["a=one", "a=same"]


def test_a_click_on_a_point_copies_the_command(page: Any) -> None:
    point = page.find_element("css selector", "#front-chart .point")
    webdriver.ActionChains(page).move_to_element(point).perform()
    shown = until(page, "return document.querySelector('#front-chart .hoverlayer').textContent")
    assert "width.keep=" in shown
    webdriver.ActionChains(page).move_to_element(point).click().perform()
    told = until(page, "return document.getElementById('said').textContent")
    assert "python run.py -m compression.width.keep=" in told


def test_the_chart_works_with_the_keyboard(page: Any) -> None:
    right, enter = "\ue014", "\ue007"
    press(page, "#front-chart", right)
    assert copied(page).startswith("width.keep=0.25 quantize=int8_static: exact_match ")
    press(page, "#front-chart", right, enter)
    until(page, "return document.getElementById('said').textContent.includes('run.py')")


def test_after_another_axis_the_keyboard_copies_nothing_untold(page: Any) -> None:
    left, right, enter = "\ue012", "\ue014", "\ue007"
    press(page, "#front-chart", left)
    assert copied(page).startswith("width.keep=0.75 quantize=fp16: exact_match ")  # the last from the left
    choose(page, "across", "size_mb")
    said = copied(page)
    press(page, "#front-chart", enter)
    assert copied(page) == said
    press(page, "#front-chart", right)
    assert copied(page).startswith("width.keep=0.25 quantize=int8_static: exact_match ")


def test_configurations_sort_by_the_size_of_their_numbers(page: Any) -> None:
    for shares in (
        ["0.25", "0.25", "0.5", "0.5", "0.75", "0.75"],
        ["0.75", "0.75", "0.5", "0.5", "0.25", "0.25"],
    ):
        press(page, "#table thead th:first-child button", "\ue007")
        assert [name.split(" ")[0].removeprefix("width.keep=") for name in names(page)] == shares


def test_what_a_search_chose_is_an_axis_and_a_scale(searched: Any) -> None:
    choose(searched, "colour", "width.keep")
    assert script(searched, "return document.querySelectorAll('#front-chart .cbaxis').length") > 0
    legend = "return [...document.querySelectorAll('#front-chart .legendtext')].map((x) => x.textContent)"
    assert script(searched, legend) == ["baseline"]
    choose(searched, "colour", "depth.far")
    assert script(searched, legend) == ["depth.far=–", "baseline"]
    shut = "return [...document.querySelectorAll('#colour option:disabled')].map((x) => x.textContent)"
    assert script(searched, shut) == ["path (24 values)"]
    assert "path (24 values)" in script(searched, "return document.getElementById('too-many').textContent")
    script(searched, "document.getElementById('parallel').scrollIntoView()")
    axes = "[...document.querySelectorAll('#parallel-chart .axis-title')].map((x) => x.textContent)"
    assert until(searched, f"const found = {axes}; return found.length && found")[:2] == ["keep", "far"]


def test_of_how_many_seeds_a_row_is(searched: Any) -> None:
    assert {name.rpartition(" ")[2] for name in names(searched)} == {"(n=1)", "(n=2)"}
    assert "(n=2)" in script(searched, "return document.getElementById('front-list').textContent")


def test_the_table_sorts_and_filters(page: Any) -> None:
    assert len(names(page)) == 6
    press(page, "#table thead th:nth-child(2) button", "\ue007")
    cells = "[...document.querySelectorAll('#table td:nth-child(2)')]"
    scores = script(page, f"return {cells}.map((cell) => parseFloat(cell.textContent))")
    assert scores == sorted(scores, reverse=True)
    head = page.find_element("css selector", "#table thead th:nth-child(2)")
    assert head.get_attribute("aria-sort") == "descending"
    press(page, "#filter", "keep=0.5 int8")
    assert names(page) == ["width.keep=0.5 quantize=int8_static"]
    assert "1 of 6" in script(page, "return document.getElementById('count').textContent")


def test_signs_are_explained_and_what_a_change_is_against(page: Any) -> None:
    told = script(page, "return document.getElementById('signs').textContent")
    assert "± is the standard deviation over 2 seeds" in told
    assert "against each job's own baseline" in told


def test_stages_of_a_row_are_drawn_once_they_are_looked_at(page: Any) -> None:
    script(page, "document.getElementById('stages').scrollIntoView()")
    assert until(page, "return document.querySelectorAll('#stages-chart .point').length") == 5
    assert "distill" in script(page, "return document.getElementById('stages-table').textContent")
    found = "return [...document.querySelectorAll('#stages-found li')].map((line) => line.textContent)"
    assert script(page, found) == [f"seed {seed}: width: layer {seed} is the dearest" for seed in (0, 1)]
    script(page, "document.getElementById('parallel').scrollIntoView()")
    assert until(page, "return document.querySelectorAll('#parallel-chart .parcoords .y-axis').length") >= 5


def test_a_stage_that_some_seeds_have_is_told_by_what_it_changed_in_them(
    browser: Any, tmp_path: Path
) -> None:
    gated(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    with opened(browser, tmp_path / "report.html") as page:
        script(page, "document.getElementById('stages').scrollIntoView()")
        drawn = "[...document.querySelectorAll('#stages-chart .point')]"
        assert until(page, f"return {drawn}.length") == 3
        assert script(page, f"return {drawn}.map((bar) => bar.textContent)") == ["90.00", "-0.50", "0.00"]
        bars = script(page, "return document.getElementById('stages-chart').data[0]")
        assert bars["x"] == ["finetune", "qat (1 of 3)", "export"]
        assert bars["base"] == pytest.approx([0, 84, 89.8333])
        lines = "[...document.querySelectorAll('#stages-table tbody tr')]"
        told = script(
            page, f"return {lines}.map((line) => [...line.cells].slice(0, 3).map((x) => x.textContent))"
        )
        assert told == [
            ["finetune", "90.00", ""],
            ["qat (1 of 3)", "83.50", "-0.50"],
            ["export", "89.83", "0.00"],
        ]


def test_scores_below_zero_are_in_the_chart_of_stages(browser: Any, tmp_path: Path) -> None:
    job(tmp_path / "0", before=-0.05, right=-0.02, stages=("finetune", "export"), rows=50)
    assert main(["report", str(tmp_path)]) == 0
    with opened(browser, tmp_path / "report.html") as page:
        script(page, "document.getElementById('stages').scrollIntoView()")
        found = until(page, "return document.getElementById('stages-chart').layout?.yaxis.range")
        assert found == pytest.approx([-6, -1])


def test_what_failed_is_shown_and_ends_no_script(page: Any) -> None:
    assert EVIL in script(page, "return document.getElementById('without').textContent")
    assert page.title == "Pare · Report"


def test_it_asks_nobody_for_anything(page: Any, study: Path) -> None:
    asked = script(page, "return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in asked if not name.startswith(("blob:", "data:"))] == []
    assert study.stat().st_size < 8e6


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_is_wider_than_the_screen(page: Any, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.refresh()
    try:
        assert script(page, "return document.documentElement.scrollWidth") <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("npm, which brings axe-core, is not installed")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "axe-core@4"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("npm cannot get axe-core")
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(page: Any, axe: str, theme: str) -> None:
    if script(page, "return document.documentElement.dataset.theme") != theme:
        press(page, "#theme", "\ue007")
    for part in ("stages", "parallel"):
        script(page, "document.getElementById(arguments[0]).scrollIntoView()", part)
        until(page, f"return document.querySelector('#{part}-chart svg')")
    script(page, axe)
    found = page.execute_async_script("axe.run().then(arguments[0])")
    told = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]]
    assert told == [], json.dumps(told, indent=1)
