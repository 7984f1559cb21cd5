#!/usr/bin/env python3
"""Checks what deploy/ gives to operators, against the programs and against each other.

Called by run.py with a folder that holds PyYAML, the program `boxoffice` and nats-server. Every configuration is read by
the program that it is for; drain timeouts and limits are compared with the constants in the code.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tools

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
SECRET = "t-0123456789abcdef0123456789abcdef"


def check(yaml_folder, boxoffice, nats_server):
    """Answers what was found wrong, and what could not be tried here."""
    sys.path.insert(0, str(yaml_folder))
    import yaml

    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    wrong, not_tried = [], []
    constants = read_constants()
    wrong += check_compose(compose, constants)
    wrong += check_configurations(compose, boxoffice)
    wrong += check_nats(nats_server)
    wrong += check_units(constants)
    wrong += check_alerts(yaml.safe_load((DEPLOY / "alerts.yaml").read_text()))
    if shutil.which("systemd-analyze"):
        wrong += verify_units()
    else:
        not_tried.append("systemd-analyze verify (this system has no systemd)")
    if shutil.which("docker") and docker_reads_compose() is not None:
        wrong += [] if docker_reads_compose() else ["docker compose refuses deploy/compose.yaml"]
    else:
        not_tried.append("docker compose config (there is no docker with compose here)")
    return wrong, not_tried


def check_alerts(alerts):
    """Each rule says what to do; that its metrics exist is for `metrics` among the integration tests."""
    wrong = []
    for rule in [rule for group in alerts["groups"] for rule in group["rules"]]:
        missing = [name for name in ("summary", "action") if not rule.get("annotations", {}).get(name)]
        if missing or not rule.get("expr") or rule.get("labels", {}).get("severity") not in ("warning", "critical"):
            wrong.append(f"deploy/alerts.yaml: {rule.get('alert')} lacks expr, severity, summary or action")
    return wrong


def read_constants():
    """What the program itself promises about ending and connections."""
    text = (ROOT / "host/src/cli/lifecycle.rs").read_text()

    def number(pattern):
        found = re.search(pattern, text)
        if not found:
            raise SystemExit(f"host/src/cli/lifecycle.rs has no `{pattern}` any more: adapt tests/deploy_check.py")
        return int(found[1].replace("_", ""))

    seconds = r": Duration = Duration::from_secs\((\d+)\)"
    return {
        "drain": number("REQUESTS_TIMEOUT" + seconds) + number("WORKER_TIMEOUT" + seconds),
        "connections": number(r"CONNECTIONS_MAX: usize = ([\d_]+)"),
    }


def check_compose(compose, constants):
    wrong = []
    services = compose["services"]
    for name, service in services.items():
        for key in ("healthcheck", "restart", "stop_grace_period", "cap_drop", "logging"):
            if key not in service:
                wrong.append(f"compose: service {name} has no {key}")
        if "limits" not in service.get("deploy", {}).get("resources", {}):
            wrong.append(f"compose: service {name} has no limits")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            here = (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
            if not here:
                wrong.append(f"compose: service {name} mounts {source}, which is not there")
        files = [service["env_file"]] if "env_file" in service else []
        wrong += [f"compose: {file} is not there" for file in files if not (DEPLOY / file).exists()]
    ours = {name: service for name, service in services.items() if service["image"] == "boxoffice"}
    hosts = [service for service in ours.values() if service["command"][0] == "serve"]
    workers = [service for service in ours.values() if service["command"][0] == "worker"]
    if len(hosts) != 2 or sum(worker["deploy"]["replicas"] for worker in workers) != 3:
        wrong.append("compose: two hosts and three workers are wanted")
    for name, service in ours.items():
        grace = int(service["stop_grace_period"].rstrip("s"))
        if grace <= constants["drain"]:
            wrong.append(f"compose: {name} is killed after {grace} s, and may take {constants['drain']} s to end")
        if service["ulimits"]["nofile"] < 2 * constants["connections"]:
            wrong.append(f"compose: {name} may open too few files for {constants['connections']} connections")
    if not any("sync=every" in word for word in services["surrealdb"]["command"]):
        wrong.append("compose: the SurrealDB server must sync every commit")
    return wrong


def check_configurations(compose, boxoffice):
    """Lets the program read each configuration, with a store that it refuses only after all options were read."""
    wrong = []
    secrets = {name: text.replace("CHANGE-ME", SECRET) for name, text in env_file("boxoffice").items()}
    environments = {"systemd": {}}
    for name, service in compose["services"].items():
        if service["image"] == "boxoffice":
            environments[f"compose service {name}"] = service["environment"]
    for name, environment in environments.items():
        asked = {**secrets, **environment, "BOXOFFICE_STORE__URL": "mem://"}
        said = run_boxoffice(boxoffice, asked)
        if "store.url" not in said or "mem://" not in said or said.count("configuration:") != 1:
            wrong.append(f"deploy/boxoffice.toml for {name}: {said.strip()}")
    said = run_boxoffice(boxoffice, env_file("boxoffice"), "serve")
    if "auth.keys" not in said:
        wrong.append(f"the secrets as they stand in deploy/env/boxoffice.env are to be refused: {said.strip()}")
    # An option that the program does not know is refused: else the checks above would prove nothing.
    said = run_boxoffice(boxoffice, {**secrets, "BOXOFFICE_STORE__COLOUR": "red"})
    if "store.colour" not in said:
        wrong.append(f"an unknown option was not refused: {said.strip()}")
    return wrong


def run_boxoffice(boxoffice, environment, command="worker"):
    arguments = [boxoffice, command, "--config", str(DEPLOY / "boxoffice.toml")]
    ended = subprocess.run(arguments, env={**tools.clean_environment(), **environment}, capture_output=True, text=True, timeout=60)
    return f"(exit code {ended.returncode}) {ended.stderr}"


def env_file(name):
    """A file of variables, as systemd and compose read it."""
    variables = {}
    for line in (DEPLOY / f"env/{name}.env").read_text().splitlines():
        if line and not line.startswith("#"):
            key, value = line.split("=", 1)
            variables[key] = value[1:-1] if value[:1] == value[-1:] == "'" else value
    return variables


def check_nats(nats_server):
    configuration = DEPLOY / "nats-server.conf"
    ended = subprocess.run(
        [nats_server, "-t", "-c", str(configuration)],
        env={**os.environ, "NATS_TOKEN": SECRET},
        capture_output=True,
        text=True,
    )
    wrong = [] if ended.returncode == 0 else [f"nats-server refuses deploy/nats-server.conf: {ended.stderr}"]
    if not re.search(r"^\s*sync_interval: always$", configuration.read_text(), re.MULTILINE):
        wrong.append("deploy/nats-server.conf must sync every write")
    return wrong


def check_units(constants):
    wrong = []
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        settings = dict(re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE))
        for key in ("Restart", "TimeoutStopSec", "LimitNOFILE", "MemoryMax", "NoNewPrivileges", "ProtectSystem"):
            if key not in settings:
                wrong.append(f"{path.name} does not set {key}")
        named = settings["EnvironmentFile"].rsplit("/", 1)[1]
        if not (DEPLOY / "env" / named).exists():
            wrong.append(f"{path.name} wants {named}, which deploy/env does not have")
        for configuration in re.findall(r"/etc/boxoffice/(\S+\.(?:toml|conf))", settings["ExecStart"]):
            if not (DEPLOY / configuration).exists():
                wrong.append(f"{path.name} reads {configuration}, which deploy/ does not have")
        if path.name.startswith("boxoffice-"):
            stop, files = int(settings["TimeoutStopSec"]), int(settings["LimitNOFILE"])
            if stop <= constants["drain"]:
                wrong.append(f"{path.name} kills after {stop} s, and ending may take {constants['drain']} s")
            if files < 2 * constants["connections"]:
                wrong.append(f"{path.name} allows {files} files, too few for {constants['connections']} connections")
        if path.name == "surrealdb.service" and "sync=every" not in settings["ExecStart"]:
            wrong.append(f"{path.name} must sync every commit")
    return wrong


def verify_units():
    """Asks systemd, on copies that start a program which is there: ours may not be installed here."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for path in sorted((DEPLOY / "systemd").glob("*.service")):
            text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
            (Path(folder) / path.name).write_text(text)
            names.append(path.name.replace("@.", "@1."))
        command = ["systemd-analyze", "verify", "--man=no", *names]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    said = (ended.stdout + ended.stderr).strip()
    return [f"systemd-analyze verify: {said}"] if said or ended.returncode else []


def docker_reads_compose():
    """Whether docker compose takes the file; none if it cannot be asked here."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return None
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    return subprocess.run(command, capture_output=True).returncode == 0
