"""Builds the examples of plugins/ for the integration tests, each with the commands of its README.

Called by run.py as the stage `guests`. What is built is kept by a hash of its sources and its toolchain, so that a run
that changes nothing compiles nothing.

Rust: if the toolchain has no library for wasm32-wasip2 (`rustup target add wasm32-wasip2`), Debian's rustc-web and the
source of its library stand in, compiled once. The linkers are those of the toolchain that builds Boxoffice.
JavaScript: componentize-qjs from npm, and in the long form componentize-js. C: zig from PyPI, and jco-transpile from npm. Python: componentize-py from PyPI.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

RUST = ["members-only", "early-bird-price", "branded-mail", "promo-codes"]
JAVASCRIPT = ["group-discount"]
C = ["max-per-customer"]
PYTHON = ["weekday-pricing"]
# The JavaScript that is built once more, with the other engine there is for it.
STARLINGMONKEY = "group-discount"
COMPONENTIZE_JS = "@bytecodealliance/componentize-js@0.23.0"

# What examples take from the projects of `plugin new`: the JavaScript library, and what reads a configuration in C.
LIBRARIES = ["host/templates/js/boxoffice-plugin", "host/templates/c/settings.h"]

TARGET = "wasm32-wasip2"
DEBIAN_PACKAGES = ["rustc-web", "rust-web-src", "wasi-libc"]
DEBIAN_RUSTC = Path("/usr/bin/rustc")
DEBIAN_PARTS = [DEBIAN_RUSTC, Path("/usr/lib/rustlib/src/rust/library/Cargo.toml"), Path("/usr/lib/wasm32-wasi/crt1-reactor.o")]


class Guests:
    """The examples as components, in a folder of the cache."""

    def __init__(self, root, cache, tools):
        # What differs between components of one folder is who built them: their names stay the same.
        self.root, self.cache, self.tools = root, cache, tools
        self.components = cache / "guests"
        self.target = cache / "guest-target"
        self.work = cache / "guest-work"
        self.toolchain = self.components / "toolchain.json"

    def environment(self):
        """What the integration tests are told: the components, and how further ones are built."""
        return {"BOXOFFICE_PLUGINS": str(self.components), "BOXOFFICE_GUEST_TOOLCHAIN": str(self.toolchain)}

    def build(self, is_long):
        self.components.mkdir(parents=True, exist_ok=True)
        version, variables = self.rust_toolchain()
        self.toolchain.write_text(json.dumps({**variables, **self.zig(), "CARGO_BUILD_BUILD_DIR": str(self.target)}))
        self.check_copies()
        self.build_rust(version, variables)
        for name in JAVASCRIPT:
            self.build_with_npm(name, {})
        for name in C:
            self.python_package("ziglang", self.root / "plugins" / name / "requirements.txt", "import ziglang")
            self.build_with_npm(name, self.zig())
        if not is_long:
            return f"{', '.join(PYTHON)} in Python, {STARLINGMONKEY} with StarlingMonkey (--long)"
        for name in PYTHON:
            self.build_python(name)
        self.build_starlingmonkey(STARLINGMONKEY)

    # Rust

    def rust_toolchain(self):
        """Finds a Rust that builds for the target: its version, and the variables that cargo needs for it."""
        about = self.output(["rustc", "--version", "--verbose"])
        sysroot = Path(self.output(["rustc", "--print", "sysroot"]).strip())
        if any((sysroot / "lib/rustlib" / TARGET / "lib").glob("libstd-*.rlib")):
            return about, {}
        host = next(line.split()[1] for line in about.splitlines() if line.startswith("host:"))
        linkers = sysroot / "lib/rustlib" / host / "bin"
        by_hand = f"type `rustup target add {TARGET}`"
        if not (linkers / "wasm-component-ld").exists():
            raise self.tools.Failed(f"this Rust cannot build for {TARGET}: {by_hand}")
        if not all(part.exists() for part in DEBIAN_PARTS):
            self.install_debian_rust(by_hand)
        flags = "-L native=/usr/lib/wasm32-wasi -C link-self-contained=no -C link-arg=/usr/lib/wasm32-wasi/crt1-reactor.o"
        return self.output([DEBIAN_RUSTC, "--version", "--verbose"]), {
            "RUSTC": str(DEBIAN_RUSTC),
            # Lets a stable compiler build its own library, and cargo ask for that.
            "RUSTC_BOOTSTRAP": "1",
            "CARGO_UNSTABLE_BUILD_STD": "std,panic_abort",
            "CARGO_TARGET_WASM32_WASIP2_LINKER": str(linkers / "wasm-component-ld"),
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS": flags,
            "PATH": os.pathsep.join([os.environ["PATH"], str(linkers), str(linkers / "gcc-ld")]),
        }

    def install_debian_rust(self, by_hand):
        self.tools.install_for_debian(DEBIAN_PACKAGES, f"this Rust has no library for {TARGET}: {by_hand}")
        if not all(part.exists() for part in DEBIAN_PARTS):
            raise self.tools.Failed(f"{', '.join(DEBIAN_PACKAGES)} are not what this needs: {by_hand}")

    def check_copies(self):
        """Tests the SDK, and what is made of other files (see plugins/generate) against them."""
        key = self.key(["plugins/Cargo.lock", "plugins/Cargo.toml", "plugins/sdk", "plugins/generate", "wit", "host/templates",
                        *[f"plugins/{name}" for name in JAVASCRIPT + C + PYTHON]], "")
        stamp = self.components / "copies.key"
        if stamp.exists() and stamp.read_text() == key:
            return
        self.cargo(["run", "--quiet", "-p", "generate", "--", "--check"], {})
        self.cargo(["test", "--quiet", "-p", "boxoffice-plugin"], {})
        stamp.write_text(key)

    def build_rust(self, version, variables):
        key = self.key(["plugins/Cargo.lock", "plugins/Cargo.toml", "plugins/sdk", *[f"plugins/{name}" for name in RUST]], version)
        if all(self.is_current(name, key) for name in RUST):
            return
        packages = [word for name in RUST for word in ("-p", name)]
        self.cargo(["build", "--release", "--target", TARGET, *packages], variables)
        for name in RUST:
            self.keep(name, key, self.target / TARGET / "release" / f"{name.replace('-', '_')}.wasm")

    def cargo(self, arguments, variables):
        environment = {**os.environ, **variables, "CARGO_TARGET_DIR": str(self.target)}
        command = ["cargo", arguments[0], "--locked", *arguments[1:]]
        self.tools.run(command, minutes=25, environment=environment, folder=self.root / "plugins")

    # Other languages

    def build_with_npm(self, name, variables):
        """Builds a guest in a copy of its folder, beside copies of the WIT and the libraries: node_modules does not belong into sources."""
        key = self.key([f"plugins/{name}", "wit/boxoffice.wit", *LIBRARIES], "")
        if self.is_current(name, key):
            return
        if not shutil.which("npm"):
            raise self.tools.Failed("Node.js 20 or newer with npm is needed for plugins in JavaScript and C: install nodejs and npm")
        folder = self.copied(name)
        environment = {**os.environ, **variables}
        # Not `npm ci`, which asks for builds for other platforms that were never published.
        self.tools.retried(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", str(folder)])
        self.tools.run(["npm", "run", "build"], minutes=10, environment=environment, folder=folder)
        self.keep(name, key, folder / f"{name}.wasm")

    def build_starlingmonkey(self, name):
        """Builds JavaScript that componentize-qjs builds, too, with the engine of componentize-js: 12 MB instead of 1.6."""
        built = f"{name}-starlingmonkey"
        key = self.key([f"plugins/{name}", "wit/boxoffice.wit", "tests/starlingmonkey.mjs", *LIBRARIES], COMPONENTIZE_JS)
        if self.is_current(built, key):
            return
        folder = self.copied(name)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        (folder / "package-lock.json").unlink()
        shutil.copy(self.root / "tests/starlingmonkey.mjs", folder)
        self.tools.retried(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", str(folder), COMPONENTIZE_JS])
        # From a folder above all sources: a component's JavaScript sees no file outside of the one it is built in.
        command = ["node", folder / "starlingmonkey.mjs", folder / "policy.js", "wit", "policy", folder / f"{built}.wasm"]
        self.tools.run(command, minutes=10, environment=dict(os.environ), folder=self.work)
        self.keep(built, key, folder / f"{built}.wasm")

    def build_python(self, name):
        key = self.key([f"plugins/{name}", "wit/boxoffice.wit"], "")
        if self.is_current(name, key):
            return
        requirements = self.root / "plugins" / name / "requirements.txt"
        package = self.python_package("componentize-py", requirements, "import componentize_py")
        folder = self.copied(name)
        command = [package / "bin/componentize-py", "-d", "../../wit", "-w", "policy", "componentize", "app", "--stub-wasi", "-o", f"{name}.wasm"]
        self.tools.run(command, minutes=20, environment={**os.environ, "PYTHONPATH": str(package)}, folder=folder)
        self.keep(name, key, folder / f"{name}.wasm")

    def zig(self):
        """Where Python finds zig. What a project's README has pip install is there then, and a system's Python takes the word for it."""
        return {
            "PYTHONPATH": str(self.cache / "ziglang"),
            "ZIG_GLOBAL_CACHE_DIR": str(self.cache / "zig-cache"),
            "PIP_BREAK_SYSTEM_PACKAGES": "1",
        }

    def python_package(self, name, requirements, works):
        """Installs what a guest's requirements.txt names into a folder of its own."""
        package = requirements.read_text().strip()

        def is_there(folder):
            named = any(folder.glob(f"{name.replace('-', '_')}-{package.split('==')[1]}.dist-info"))
            ran = subprocess.run([sys.executable, "-c", works], env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True)
            return named and ran.returncode == 0

        self.tools.fetch_package(self.cache, name, package, is_there)
        return self.cache / name

    def copied(self, name):
        folder = self.work / "plugins" / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.root / "plugins" / name, folder, ignore=shutil.ignore_patterns("node_modules", "build", "*.wasm"))
        for library in LIBRARIES:
            source, copy = self.root / library, self.work / library
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True)
            else:
                shutil.copy(source, copy)
        (self.work / "wit").mkdir(exist_ok=True)
        shutil.copy(self.root / "wit/boxoffice.wit", self.work / "wit")
        return folder

    # What is built already

    def key(self, paths, toolchain):
        """A hash of everything that a component is made of, this file included."""
        digest = hashlib.sha256(toolchain.encode())
        files = [Path(__file__)]
        for path in map(self.root.joinpath, paths):
            files += sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            unwanted = {"node_modules", "target", "build", "__pycache__", "fixtures"} & set(file.parts[len(self.root.parts):])
            if file.is_file() and not unwanted and file.suffix not in (".wasm", ".md"):
                digest.update(f"{file.relative_to(self.root)}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def is_current(self, name, key):
        stamp = self.components / f"{name}.key"
        return (self.components / f"{name}.wasm").exists() and stamp.exists() and stamp.read_text() == key

    def keep(self, name, key, built):
        stamp = self.components / f"{name}.key"
        stamp.unlink(missing_ok=True)
        shutil.copy(built, self.components / f"{name}.wasm")
        stamp.write_text(key)
        print(f"{name}: {built.stat().st_size:,} bytes", flush=True)

    def output(self, command):
        # In plugins/, because a folder may have a toolchain of its own.
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.root / "plugins")
        if done.returncode:
            raise self.tools.Failed(f"{command[0]} cannot be run: {done.stderr}")
        return done.stdout
