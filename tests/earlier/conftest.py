"""Pages open here as in their own tests."""

from tests.pages.conftest import bench, open_page

__all__ = ["bench", "open_page"]
