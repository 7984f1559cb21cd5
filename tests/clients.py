"""Generates clients from /openapi.json with two public generators, and changes things with them at a live host."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import contract
import tools

PYTHON_GENERATOR = "openapi-python-client==0.29.1"
NPM_PACKAGES = {"openapi-typescript": "7.13.0", "openapi-fetch": "0.17.0", "typescript": "5.9.3"}
# What that generator's code needs of Python.
PYTHON_LEAST = (3, 11)
SOURCES = Path(__file__).resolve().parent / "clients"
# Bodies that are no JSON; the generator knows bytes by this name only. docs/api.md says the same to users.
CONFIG = """content_type_overrides:
  application/wasm: application/octet-stream
  image/png: application/octet-stream
  application/x-ndjson: application/octet-stream
"""
# A client of this many files is one that nobody wants: one class for each answer of each operation.
FILES_MAX = 600


def works(folder):
    return tools.has_package(folder, PYTHON_GENERATOR, "openapi_python_client")


def python_environment(*folders):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "PYTHONDONTWRITEBYTECODE": "1"}


def wrong(program, python_package, npm_folder):
    """What is wrong, an empty list if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        host = contract.Host(program, folder)
        try:
            document = folder / "openapi.json"
            document.write_text(subprocess.run([program, "openapi"], capture_output=True, text=True, check=True).stdout)
            arguments = [host.base, host.token("owner"), host.token("organizer")]
            return [
                *python_client(document, python_package, folder, arguments),
                *typescript_client(document, npm_folder, folder, arguments),
            ]
        finally:
            host.end()


def python_client(document, package, folder, arguments):
    config, client = folder / "config.yaml", folder / "boxoffice_client"
    config.write_text(CONFIG)
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--output-path", client]
    generate += ["--meta", "none", "--config", config]
    environment = python_environment(package, folder)
    made = subprocess.run(generate, env=environment, capture_output=True, text=True)
    said = made.stdout + made.stderr
    if made.returncode or "WARNING" in said or "ERROR" in said:
        return [f"openapi-python-client: {said}"]
    files = len(list(client.rglob("*.py")))
    print(f"-- Python: {files} files", flush=True)
    found = [] if files <= FILES_MAX else [f"the Python client has {files} files, and {FILES_MAX} are enough"]
    return found + tried("Python", [sys.executable, SOURCES / "patch.py", *arguments], environment, folder)


def typescript_client(document, npm, folder, arguments):
    modules = npm / "node_modules"
    work = folder / "typescript"
    work.mkdir()
    (work / "node_modules").symlink_to(modules)
    shutil.copy(SOURCES / "patch.ts", work)
    (work / "package.json").write_text('{"type": "module"}')
    compiler = ["node", modules / "typescript/bin/tsc", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "patch.ts"]
    for name, command in [
        ("openapi-typescript", ["node", modules / "openapi-typescript/bin/cli.js", document, "--output", "schema.d.ts"]),
        ("tsc", compiler),
    ]:
        made = subprocess.run(command, cwd=work, capture_output=True, text=True)
        if made.returncode:
            return [f"{name}: {made.stdout}{made.stderr}"]
    return tried("TypeScript", ["node", "patch.js", *arguments], dict(os.environ), work)


def tried(name, command, environment, folder):
    ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    print(f"-- {name}: {ended.stdout.strip()}", flush=True)
    return [f"the {name} client: {ended.stdout}{ended.stderr}"] if ended.returncode else []
