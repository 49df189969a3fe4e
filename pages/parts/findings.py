"""What was found in data, settings or a trial, each with its weight."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.training.findings import Finding
from pages.parts.language import _
from pages.parts.text import plain

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}


def show_findings(findings: Sequence[Finding]) -> None:
    """A box for each."""
    boxes = {"error": st.error, "warning": st.warning, "note": st.info}
    for finding in findings:
        boxes[finding.level](plain(_(finding.message)), icon=ICONS[finding.level])
