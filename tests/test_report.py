"""The report and the exports for others: escaped, whole, offline, opened in a real browser, read back by
TensorBoard.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from sweep.report.files import export_table
from sweep.report.page.recipes import recipe_text
from sweep.report.plots.rendering import script_json
from tests.conftest import runner
from tests.made import made
from tests.thin import thin

HOSTILE = "</script><script>window.__owned=1</script>"
NAME = "<img src=x onerror=window.__owned=1>"


def run(folder: Path, *args: object) -> str:
    return runner(folder)(*args, env={"COLUMNS": "160"}).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A trained study with diverged settings, a hostile imported one, and their reports."""
    folder = tmp_path_factory.mktemp("report")
    sizes = ("--lr", "0.1,0.01,1e6", "--batch-norm", "on,off", "--optimizer", "sgd", "--epochs", 3, "--seeds", 2)
    run(folder, "grid", *sizes, "--study", "small")
    words = enumerate((HOSTILE, "plain", "<b onclick=1>", "&lt;i&gt;"))
    rows = [
        f'"{word}",{j},{0.1 * (i + 1) + 0.01 * j + 0.001 * s},{s}'
        for i, word in words
        for j in range(3)
        for s in range(2)
    ]
    (folder / "bad.csv").write_text(f'"{NAME}",width,loss,seed\n' + "\n".join(rows) + "\n")
    run(folder, "import", "bad.csv", "--metric", "loss", "--minimize", "--seed", "seed", "--study", "hostile")
    for study in ("small", "hostile"):
        run(folder, "report", study)
    return folder


class Page(HTMLParser):
    """A page's elements, and the text of those with an id."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, str] = {}
        self._last = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._last = dict(attrs).get("id", self._last)

    def handle_data(self, data):
        self.texts[self._last] = self.texts.get(self._last, "") + data


@pytest.mark.parametrize("study", thin(["hostile", "small"], 2))
def test_a_report_is_one_file_that_asks_nothing_of_the_network(folder, study):
    page = Page((folder / f"{study}.html").read_text())
    assert not [
        tag for tag, _ in page.tags if tag in ("link", "iframe", "img", "object", "base") and _.get("href") != "data:,"
    ]
    assert not [at for tag, at in page.tags if tag == "script" and "src" in at]
    assert not [at for _, at in page.tags if str(at.get("href", "#"))[:1] not in ("#", "d")]
    (policy,) = (at["content"] for _, at in page.tags if at.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


@pytest.mark.long
def test_a_report_says_what_the_analyses_say(folder):
    text = (folder / "small.html").read_text()
    page = Page(text)
    shown = json.loads(run(folder, "show", "small", "--json"))
    best = shown["selected"]
    answer = text[text.index('id="answer"') : text.index('id="effects"')]
    assert f"{best['mean']:.4f}" in answer
    assert f"{100 * best['test']['test_accuracy']['mean']:.2f}%" in answer
    assert "In no mean: 4 diverged of 12 trials." in answer
    effects = json.loads(run(folder, "effect", "small", "batch_norm", "--json"))
    assert effects[0]["verdict"] in text
    for remark in json.loads(run(folder, "check", "small", "--json"))["remarks"]:
        assert remark["text"].split(":")[0] in page.texts["h-checks"]
    trials = json.loads(page.texts["trials"])
    exported = pd.read_csv(pd.io.common.StringIO(run(folder, "export", "small", "-o", "-")))
    frame = pd.DataFrame(trials["rows"], columns=trials["columns"]).set_index("trial").sort_index()
    assert frame["val_loss"].tolist() == pytest.approx(
        exported.set_index("trial").sort_index()["val_loss"].tolist(), nan_ok=True
    )
    assert not [name for name in trials["columns"] if name.startswith("test")]


@pytest.mark.long
def test_a_report_names_every_machine_that_trained(sweep, tmp_path):
    """Not the one on which the study was started alone: each kind with its trials, each fact with all it was."""
    study = made(tmp_path / "results", "m", {"lr": "0.1,0.01,0.001", "epochs": "1"}, lambda _: 0.5)
    facts = {"torch": "2.14.1", "device": "AMD EPYC", "instructions": "AVX2", "host": "first"}
    with Ledger(tmp_path / "results") as ledger:
        for number, more in enumerate(({}, {"host": "second"}, {"instructions": "AVX512", "host": "third"})):
            sitting = ledger.sit(study, facts | more)
            ledger._connection.execute("UPDATE trials SET sitting = ? WHERE number = ?", (sitting, number))
    sweep("report", "m", "-o", "m.html")
    again = (tmp_path / "m.html").read_text(encoding="utf-8").split('id="again"')[1]
    shown = " ".join(re.sub("<[^>]*>", " ", again).split())
    assert re.search(
        r"Trained 2 trials, [0-9-]{10}, 2 sittings torch 2.14.1 device AMD EPYC instructions AVX2 host first, second",
        shown,
    )
    assert re.search(r"Trained 1 trial, [0-9-]{10} torch 2.14.1 device AMD EPYC instructions AVX512 host third", shown)
    assert (
        "The trials come from 2 kinds of machines (2 on torch 2.14.1, AMD EPYC, vector instructions AVX2; 1 on" in shown
    )


def test_test_scores_of_others_than_the_selected_are_nowhere(folder):
    text = (folder / "small.html").read_text()
    with Ledger(folder / "results") as ledger:
        trials = ledger.trials(ledger.study("small"))
    best = json.loads(run(folder, "show", "small", "--json"))["selected"]
    others = trials[trials["setting"] != trials.loc[trials["number"] == best["trial"], "setting"].iloc[0]]
    for value in others["test_loss"].dropna():
        assert f"{value:.4f}" not in text.split('id="charts"')[0]
        assert f"{value:.8g}" not in text


def test_the_recipe_in_a_report_is_the_study_s_recipe(folder, tmp_path):
    text = (folder / "small.html").read_text()
    page = Page(text)
    with Ledger(folder / "results") as ledger:
        recipe = ledger.study("small").recipe
    assert recipe_text(recipe.to_dict()) in page.texts["h-again"]
    (tmp_path / "small.toml").write_text(recipe_text(recipe.to_dict()))
    assert load_recipe(tmp_path / "small.toml", {}).identity() == recipe.identity()
    assert "sweep grid small.toml --study small" in page.texts["h-again"]


def test_recipes_are_valid_toml_whatever_is_in_them():
    table = {
        "data": 'a "b"\\\n\x7f',
        "flag": True,
        "space": {"lr": {"low": 1e-05, "high": 1.0}, "ä b": [1, 2.5, "x"]},
        "none": None,
        "search": {},
    }
    assert tomllib.loads(recipe_text(table)) == {key: value for key, value in table.items() if value not in (None, {})}


def test_json_cannot_leave_its_script():
    value = {"a</script>": [HOSTILE, "\u2028&<!--", float("1e300")]}
    assert not re.search(r"[<>&\u2028]", script_json(value))
    assert json.loads(script_json(value)) == value


@pytest.mark.long
def test_a_hostile_table_stays_text(folder):
    text = (folder / "hostile.html").read_text()
    assert NAME not in text
    assert HOSTILE not in text
    assert "&lt;img src=x onerror=window.__owned=1&gt;" in text
    for kind in ("heatmap", "effect"):
        run(folder, "plot", "hostile", kind, "-o", f"{kind}.html")
        assert HOSTILE not in (folder / f"{kind}.html").read_text()
        run(folder, "plot", "hostile", kind, "-o", f"{kind}.svg")
        assert "<img" not in (folder / f"{kind}.svg").read_text()


@pytest.mark.long
def test_a_report_of_a_study_in_which_all_diverged(folder):
    run(folder, "report", "small", "--where", "lr=1e6", "-o", "dead.html")
    text = (folder / "dead.html").read_text()
    assert "All 4 trials diverged, so nothing is selected." in text
    assert "In no mean: 4 diverged of 4 trials." in text


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and its driver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    profile = tmp_path_factory.mktemp("profile")
    for flag in [*flags.split(), "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


def opened(browser, path: Path, theme: str, width: int) -> None:
    """Opens a page and waits until its charts are drawn."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    limit = time.monotonic() + 60
    while browser.execute_script("return document.documentElement.dataset.drawn") != theme:
        assert time.monotonic() < limit, browser.get_log("browser")
        time.sleep(0.05)


@pytest.mark.parametrize("study", ["small", "hostile"])
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_report_opens_in_a_browser(browser, folder, study, theme, width):
    browser.get_log("performance")
    opened(browser, folder / f"{study}.html", theme, width)
    assert browser.get_log("browser") == []
    ask = browser.execute_script
    assert ask("return window.__owned") is None
    assert ask("return document.documentElement.scrollWidth") <= width
    boxes, drawn = (
        ask(f"return document.querySelectorAll('{of}').length") for of in (".chart", ".chart svg[aria-label]")
    )
    assert boxes == drawn >= 5
    dark = ask("return getComputedStyle(document.querySelector('section')).backgroundColor")
    assert dark == ("rgb(18, 22, 28)" if theme == "dark" else "rgb(255, 255, 255)")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if url.startswith(("http", "ws", "file")) and not url.endswith(f"{study}.html")] == []


def test_charts_follow_the_theme_while_the_page_is_open(browser, folder):
    opened(browser, folder / "small.html", "light", 1280)
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    limit = time.monotonic() + 60
    while browser.execute_script("return document.documentElement.dataset.drawn") != "dark":
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_the_table_sorts_and_filters(browser, folder):
    opened(browser, folder / "small.html", "light", 1280)
    ask = browser.execute_script
    names = ask("return [...document.querySelectorAll('#whole th')].map(e => e.textContent)")
    place = names.index("val_loss")

    def column() -> list[str]:
        return ask(f"return [...document.querySelectorAll('#whole tbody tr')].map(e => e.cells[{place}].textContent)")

    click = f"document.querySelectorAll('#whole th button')[{place}].click()"
    ask(click)
    up = [float(cell) for cell in column() if cell != "–"]
    assert up == sorted(up)
    assert column()[-4:] == ["–"] * 4  # the diverged stay last
    ask(click)
    down = [float(cell) for cell in column() if cell != "–"]
    assert down == sorted(up, reverse=True)
    assert column()[-4:] == ["–"] * 4
    assert ask(f"return document.querySelectorAll('#whole th')[{place}].getAttribute('aria-sort')") == "descending"
    for typed, count in (
        ("state=complete", 8),
        ("lr<0.05", 4),
        ("batch_norm=on diverged", 2),
        ("lr>=1e6", 4),
        ("zzz", 0),
    ):
        ask(
            "const f = document.getElementById('filter'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))",
            typed,
        )
        assert len(column()) == count, typed


# For others


def test_tensorboard_reads_every_epoch_and_setting_back(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    run(folder, "export", "small", "--tensorboard", "tb")
    with Ledger(folder / "results") as ledger:
        study = ledger.study("small")
        trials, epochs = ledger.trials(study), ledger.epochs(study)
    runs = sorted((folder / "tb" / "small").glob("trial-*"))
    assert len(runs) == len(trials) == 12
    statuses = {}
    for number, path in enumerate(runs):
        found = EventAccumulator(str(path)).Reload()
        mine = epochs[epochs["trial"] == number]
        if len(mine) and mine["val_loss"].notna().any():
            events = found.Scalars("val_loss")
            want = mine.dropna(subset=["val_loss"])
            assert [event.step for event in events] == want["epoch"].tolist()
            assert [event.value for event in events] == pytest.approx(want["val_loss"].tolist(), rel=1e-6)
        plugin = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        setting = HParamsPluginData.FromString(plugin).session_start_info.hparams
        assert setting["lr"].number_value == trials["lr"].iloc[number]
        assert setting["batch_norm"].bool_value == trials["batch_norm"].iloc[number]
        end = found.summary_metadata["_hparams_/session_end_info"].plugin_data.content
        statuses.setdefault(trials["state"].iloc[number], set()).add(
            HParamsPluginData.FromString(end).session_end_info.status
        )
    assert statuses == {"complete": {1}, "diverged": {2}}
    again = subprocess.run(
        [sys.executable, "-m", "sweep", "export", "small", "--tensorboard", "tb"],
        cwd=folder, env=os.environ | {"SWEEP_RESULTS": str(folder / "results")}, capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 2
    assert "is there already" in again.stderr


@pytest.mark.long
def test_a_table_for_a_paper(folder):
    run(folder, "export", "small", "-o", "table.tex")
    lines = (folder / "table.tex").read_text().splitlines()
    body = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert len(body) == 6
    shown = json.loads(run(folder, "show", "small", "--json"))["settings"]
    assert f"\\textbf{{{shown[0]['mean']:.4f}}}" in body[0]
    assert sum("textbf" in line for line in body) == 1
    assert "batch\\_norm & val\\_loss & 95\\% interval & seeds & diverged" in lines[3]
    columns = re.search(r"\{([lr]+)\}", lines[1])[1]
    assert all(line.count(" & ") == len(columns) - 1 and line.endswith("\\\\") for line in body)


def test_hostile_text_is_escaped_for_latex(folder):
    run(folder, "export", "hostile", "-o", "hostile.tex")
    text = (folder / "hostile.tex").read_text()
    assert "\\textless{}img src=x onerror=window.\\_\\_owned=1\\textgreater{}" in text
    from sweep.report.latex import escape

    assert escape("a_b%c&d#e$f{g}h~i^j\\k\n\\end{tabular}") == (
        "a\\_b\\%c\\&d\\#e\\$f\\{g\\}h\\textasciitilde{}i\\textasciicircum{}j\\textbackslash{}k "
        "\\textbackslash{}end\\{tabular\\}"
    )


@pytest.mark.long
def test_what_cannot_be_written_is_said(sweep):
    sweep("grid", "--lr", "0.1", "--epochs", 1, "--study", "one")
    assert "unknown suffix '.pdf'" in sweep("report", "one", "-o", "x.pdf", code=2).stderr
    assert "cannot be written" in sweep("report", "one", "-o", "/nowhere/x.html", code=1).stderr
    assert "--curves needs" in sweep("export", "one", "-o", "x.tex", "--curves", code=2).stderr


@pytest.mark.parametrize("suffix", [".csv", ".json", ".md", ".parquet"])
def test_a_suffix_in_capitals_is_the_same_suffix(tmp_path, suffix):
    frame = pd.DataFrame({"lr": [0.1, 0.01], "val_loss": [0.5, 0.25]})
    small, capital = tmp_path / f"small{suffix}", tmp_path / f"capital{suffix.upper()}"
    for target in (small, capital):
        export_table(frame, str(target))
    assert small.read_bytes() == capital.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path not in (small, capital)]
