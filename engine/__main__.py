"""`python -m engine --version` (or `parlance --version` where the project is installed with `pip install -e .`)."""

from __future__ import annotations

from argparse import ArgumentParser

from engine import __version__


def main() -> None:
    """Say which version this is, and how the rest is started."""
    parser = ArgumentParser("parlance", description="Start the server with `streamlit run app.py` or `make run`.")
    parser.add_argument("--version", action="version", version=f"Parlance {__version__}")
    parser.parse_args()
    parser.print_help()


if __name__ == "__main__":
    main()
