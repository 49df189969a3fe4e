"""What pages are drawn with is there before their first visitors come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import ast, sys
from pathlib import Path
from pages.parts import first_page
for step in first_page.others():
    step()
wanted = {"pandas", "pyarrow"}
for path in Path("pages").glob("*.py"):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            wanted |= {node.module} if node.module.startswith(("pages", "engine.training")) else set()
print(sorted(wanted - set(sys.modules)), "torch" in sys.modules)
"""


def test_no_pages_first_visit_imports_what_it_is_drawn_with() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == "[] False"
