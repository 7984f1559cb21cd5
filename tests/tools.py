"""What several stages of the test command need: a clean environment, and Python packages in folders of their own."""

import os
import subprocess
import sys


def clean_environment():
    """The environment without variables of the tests: the program would take them for options of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}


def has_package(folder, package, module):
    """Whether a folder has a Python package, as `name==version`, whose module can be imported."""
    name, version = package.split("==")
    code = "import importlib, importlib.metadata as m, sys; importlib.import_module(sys.argv[3]); sys.exit(m.version(sys.argv[1]) != sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code, name, version, module], env=environment, capture_output=True).returncode == 0
