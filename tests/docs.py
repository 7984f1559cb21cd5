"""Runs the documentation: each page's commands in one shell, with the program as it was built, and checks what is not run."""

import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import tools

# Why a block is not run. `from=FILE` is checked in another way: the block stands so in that file.
REASONS = {"release", "operator", "guide", "examples", "shown"}
FENCE = re.compile(r"^```(.*)$")
# The address that pages show. Each run has a free port in its place.
ADDRESS = "127.0.0.1:8080"
PAGE_SECONDS = 120


def pages(root):
    """The pages whose blocks must say whether they are run."""
    return sorted((root / "docs").rglob("*.md"))


def blocks(text):
    """Each fenced block of a page: the number of its first line, what its fence says, and its lines."""
    found, open_at = [], None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if not fence:
            if open_at:
                open_at[2].append(line)
        elif open_at:
            found.append(tuple(open_at))
            open_at = None
        else:
            open_at = [number, fence.group(1).split(), []]
    return found


def wrong(root, program):
    """What is wrong with the documentation; an empty list if nothing is."""
    found = []
    ran = 0
    for page in pages(root):
        text = page.read_text()
        script = []
        for number, words, lines in blocks(text):
            where = f"{page.relative_to(root)}:{number}"
            found += wrong_with_block(root, where, words, lines)
            if words == ["sh", "run"]:
                script += lines
                ran += 1
        if script:
            found += run(page.relative_to(root), "\n".join(script), program)
        found += wrong_links(root, page, text)
    if not ran:
        found.append("no block of the documentation was run")
    return found + wrong_lists(root)


def wrong_with_block(root, where, words, lines):
    if len(words) != 2:
        return [f"{where}: a fenced block says its language and whether it is run, as in `sh run`; see docs/README.md"]
    language, how = words
    if how.startswith("from="):
        source = root / how.removeprefix("from=")
        if not source.is_file():
            return [f"{where}: there is no {source.name}"]
        return [] if "\n".join(lines) in source.read_text() else [f"{where}: does not stand so in {how.removeprefix('from=')}"]
    if how != "run" and how not in REASONS:
        return [f"{where}: {how!r} is no reason; there are {', '.join(sorted(REASONS))}"]
    if how == "run" and language != "sh":
        return [f"{where}: only `sh` can be run"]
    return []


def run(page, script, program):
    """Runs a page's commands in one shell and an empty folder; whatever it started ends with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        environment = {**tools.clean_environment(), "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"}
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-x", "-c", script.replace(ADDRESS, address)],
            cwd=folder, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )
        try:
            code = shell.wait(timeout=PAGE_SECONDS)
        except subprocess.TimeoutExpired:
            code = f"nothing after {PAGE_SECONDS} s"
        finally:
            end_group(shell.pid)
        said.seek(0)
        return [] if code == 0 else [f"{page} ended with {code}:\n{said.read()[-4_000:]}"]


def end_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wrong_links(root, page, text):
    """Links to files that are not there, and to headings that no page has."""
    found = []
    for target in re.findall(r"\]\(([^)#\s]+)?(#[^)\s]+)?\)", text):
        path, anchor = target
        if path.startswith(("http:", "https:")):
            continue
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists():
            found.append(f"{page.relative_to(root)}: there is no {path}")
        elif anchor and anchor[1:] not in anchors(linked.read_text()):
            found.append(f"{page.relative_to(root)}: {path or 'this page'} has no heading {anchor}")
    return found


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def wrong_lists(root):
    """Lists of the documentation that must have everything: error codes, and alerts."""
    found = []
    codes = sorted([*(root / "engine/errors").glob("*.md"), *(root / "host/errors").glob("*.md")], key=lambda page: page.name)
    alerts = re.findall(r"alert: (\w+)", (root / "deploy/alerts.yaml").read_text())
    compared = [
        ("docs/errors.md", r"^(\| \[.*)$", set(map(row_of_code, codes))),
        ("docs/operations.md", r"^### (Boxoffice\w+)$", set(alerts)),
    ]
    for page, pattern, wanted in compared:
        there = set(re.findall(pattern, (root / page).read_text(), re.MULTILINE))
        found += [f"{page} says nothing of {name}" for name in sorted(wanted - there)]
        found += [f"{page} speaks of {name}, which there is not" for name in sorted(there - wanted)]
    return found


def row_of_code(page):
    """The row that an error code's page has in the list."""
    status, _, title = page.read_text().splitlines()[2].partition(" · ")
    crate = page.parent.parent.name
    return f"| [{page.stem}](../{crate}/errors/{page.name}) | {status} | {title.removesuffix('.')} |"
