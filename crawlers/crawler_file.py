"""A crawler in a file of its user, `path/to/mine.py:crawl`: what such a name is, and its import.

Standard library only: the crawler's process imports it.
"""

import site
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path, PurePath
from types import ModuleType

_OUR_PACKAGES = ("bench", "crawlers", "plots", "server")


def is_file_name(name: str) -> bool:
    """Whether this names a file, and not a module or a crawler of the registry."""
    return "/" in name or name.partition(":")[0].endswith(".py")


def split_file_name(name: str) -> tuple[str, str]:
    """The path and the function of `FILE.py:FUNCTION`. Raises ValueError, which says why not."""
    path, colon, function = name.rpartition(":")
    if not colon:
        path, function = name, ""
    if not path.endswith(".py"):
        raise ValueError(f"{name!r} is not FILE.py:FUNCTION, as in ./mine.py:crawl")
    if not function:
        raise ValueError(f"{name!r} names no function: write {path}:FUNCTION, as in {path}:crawl")
    if not function.isidentifier():
        raise ValueError(f"{name!r}: {function!r} cannot be the name of a function")
    if not module_of(path).isidentifier():
        raise ValueError(
            f"{name!r}: {PurePath(path).name!r} cannot be the name of a module: "
            "use letters, digits and _ only"
        )
    return path, function


def module_of(path: str) -> str:
    """The name of the module that is in this file."""
    return PurePath(path).name.removesuffix(".py")


def with_absolute_path(name: str) -> str:
    """The same crawler, named so that it is found from any other folder.

    `mine:crawl` is mine.py of the current folder if there is one, and otherwise stays the module of
    that name. Raises ValueError.
    """
    module, _, function = name.partition(":")
    if not is_file_name(name):
        if not (module.isidentifier() and function and Path(f"{module}.py").is_file()):
            return name
        name = f"{module}.py:{function}"
    text, function = split_file_name(name)
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{name!r}: there is no such home folder") from None
    return f"{path.parent.resolve() / path.name}:{function}"


def import_file(path: str) -> ModuleType:
    """Import a file as a module, with its folder first on the path, as `python mine.py` has it.

    Processes that it starts by multiprocessing find the module by its name. Raises ImportError, and
    whatever the file raises.
    """
    module_name = module_of(path)
    if Path(path).is_dir():
        raise ImportError("it is a folder, not a file")
    if not Path(path).exists():
        raise ImportError("there is no such file")
    if not path.endswith(".py"):
        raise ImportError("its name does not end in .py")
    if taken := why_taken(module_name):
        raise ImportError(taken)
    sys.path.insert(0, str(Path(path).parent))
    spec = spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[module_name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def why_taken(module: str) -> str:
    """Why no crawler's module can have this name, or ""."""
    if module in _OUR_PACKAGES:
        return f"{module!r} is a package of crawlbench: give your module another name"
    if module in sys.stdlib_module_names:
        return f"{module!r} is a module of Python: give your module another name"
    # `import gevent` in a gevent.py would import that file itself.
    if PathFinder.find_spec(module, site.getsitepackages()) is not None:
        return f"{module!r} is an installed library: give your module another name"
    return ""
