"""Makes the pictures again: `pip install PySide6 && python docs/images/remake.py` (a minute of training)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GRID = ["--lr", "0.1,0.01,0.001", "--beta1", "0.8,0.88,0.9", "--batch-norm", "on,off", "--seeds", "5"]
"""The study of the README."""

SPIRALS = ["--data", "spirals", "--lr", "0.01", "--label-noise", "0.2", "--epochs", "60"]
"""That of the page on data."""


def sweep(folder: str, *args: str) -> None:
    """A command in a folder."""
    subprocess.run([sys.executable, "-m", "sweep", *args], cwd=folder, check=True)


def photograph(page: Path, picture: Path) -> None:
    """The top of an HTML page as a browser shows it."""
    os.environ |= {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu"}
    from PySide6.QtCore import QTimer, QUrl
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    application = QApplication([])
    view = QWebEngineView()
    view.resize(1000, 780)
    view.load(QUrl.fromLocalFile(str(page)))
    view.show()

    def grab() -> None:
        view.grab().save(str(picture))
        application.quit()

    view.loadFinished.connect(lambda _: QTimer.singleShot(3000, grab))
    application.exec()


with tempfile.TemporaryDirectory() as folder:
    sweep(folder, "grid", *GRID, "--study", "bn")
    sweep(folder, "plot", "bn", "heatmap", "-o", str(HERE / "heatmap.png"))
    sweep(folder, "grid", *SPIRALS, "--study", "spirals")
    sweep(folder, "plot", "spirals", "boundary", "-o", str(HERE / "boundary.png"))
    sweep(folder, "report", "bn", "-o", "report.html")
    photograph(Path(folder) / "report.html", HERE / "report.png")
