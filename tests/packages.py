"""Checks that each crate would be packaged with everything it is made of: a crate that reads a file of its neighbour builds here and nowhere else."""

import subprocess
from pathlib import Path

CRATES = {"boxoffice-engine": "engine", "boxoffice-host": "host", "boxoffice-nats": "nats", "boxoffice-wit": "wit"}
PACKAGE = ["cargo", "package", "--locked", "--allow-dirty"]


def wrong(root, libraries):
    """What is wrong; an empty list if nothing is. `libraries` has the path of each crate's library by the crate's name."""
    found = []
    for crate, folder in CRATES.items():
        listed = subprocess.run([*PACKAGE, "--list", "--package", crate], cwd=root, capture_output=True, text=True)
        if listed.returncode:
            return [f"cargo package --list: {listed.stderr}"]
        packaged = set(listed.stdout.splitlines())
        read = files_read(root, libraries[crate])
        # What the compiler says it has read: sources, and whatever macros include.
        if root / folder / "src/lib.rs" not in read:
            found.append(f"{crate}: the compiler's list of files says nothing of its lib.rs")
        for path in sorted(read):
            if root / "target" in path.parents or not path.is_relative_to(root):
                continue
            if not path.is_relative_to(root / folder):
                found.append(f"{crate} reads {path.relative_to(root)}, which no package of it has")
            elif str(path.relative_to(root / folder)) not in packaged:
                found.append(f"{crate} reads {path.relative_to(root)}, which is not in its package")
    return found


def files_read(root, library):
    """The files that the compiler read for a library, from the dependency file beside it."""
    library = Path(library)
    listing = library.parent / f"{library.stem.removeprefix('lib')}.d"
    rule = listing.read_text().split("\n", 1)[0].split(": ", 1)[1]
    names = rule.replace("\\ ", "\0").split()
    return {(root / name.replace("\0", " ")).resolve() for name in names}


def build_packages(root, run):
    """Packages every crate and builds what is in the packages, as somebody would who takes them from a registry."""
    run([*PACKAGE, "--workspace", "--exclude", "boxoffice-tests"], minutes=60, folder=root)
