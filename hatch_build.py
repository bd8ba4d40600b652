"""Sets the dependencies of crawlbench: pycurl is one of them where it has wheels, not on musl.

The marker of a dependency cannot name the C library. Where pycurl has no wheel, it can only be
built with the headers of libcurl.
"""

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.tags import sys_tags


class DependenciesHook(MetadataHookInterface):
    """Adds the extra `curl` to the dependencies, which pyproject.toml lists as this hook's own."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `dependencies` for the machine that builds."""
        metadata["dependencies"] = list(self.config["dependencies"])
        if not any("musllinux" in tag.platform for tag in sys_tags()):
            metadata["dependencies"] += metadata["optional-dependencies"]["curl"]
