"""Prefect server, worker and deployments on this machine, until interrupted.

Everything listens on 127.0.0.1, nothing is reported to anyone, and Prefect's own state lives in
the lake beside the catalogue. `tectum serve` runs this file.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
POOL = "tectum"
START_TIMEOUT_S = 120


def main() -> int:
    """Start everything, wait, and stop everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4200, help="port of the server on 127.0.0.1")
    port = parser.parse_args().port
    environment = service_environment(port, os.environ)
    for folder in (Path(environment["PREFECT_HOME"]), Path(environment["TECTUM_LAKE"]) / "landing"):
        folder.mkdir(parents=True, exist_ok=True)
    # SIGTERM becomes an exception, so that the finally below also runs under a service manager.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.append(start([str(HERE / "server.py"), "--port", str(port)], environment))
        wait_for_server(port, running[0])
        deploy_flows(environment)
        worker = ["worker", "start", "--pool", POOL, "--type", "process", "--name", "tectum"]
        running.append(start(["-m", "prefect", *worker], environment))
        say(f"Tectum is served at http://127.0.0.1:{port} - stop it with Ctrl-C.")
        say(f"Drop recordings into {Path(environment['TECTUM_LAKE']) / 'landing'}")
        return wait_for_end(running)
    except KeyboardInterrupt:
        return 0
    finally:
        stop_all(running)


def service_environment(port: int, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of server, worker and every flow run."""
    lake = str(Path(base.get("TECTUM_LAKE") or "lake").expanduser().resolve())
    private = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The second UI makes the browser call an analytics host even with analytics off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
    }
    return {
        **base,
        **private,
        "TECTUM_LAKE": lake,
        "PREFECT_HOME": base.get("PREFECT_HOME") or str(Path(lake) / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "tectum",
        "PREFECT_WORKER_QUERY_SECONDS": base.get("PREFECT_WORKER_QUERY_SECONDS", "3"),
    }


def start(arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start this environment's Python in a process group of its own."""
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=dict(environment), cwd=HERE.parent, start_new_session=True)


def wait_for_server(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; fail at once if it has died."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(
                f"The Prefect server ended with status {server.returncode}. Its messages are "
                f"above; if port {port} is taken, choose another with --port."
            )
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    sys.exit(f"The Prefect server did not answer within {START_TIMEOUT_S} s.")


def deploy_flows(environment: Mapping[str, str]) -> None:
    """Create the work pool and apply prefect.yaml."""
    pool = ["work-pool", "create", POOL, "--type", "process", "--overwrite"]
    deploy = ["--no-prompt", "deploy", "--prefect-file", str(HERE / "prefect.yaml"), "--all"]
    for arguments in (pool, deploy):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env=dict(environment),
            cwd=HERE.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"prefect {' '.join(arguments[:2])} failed:\n{done.stdout}{done.stderr}")


def wait_for_end(running: list[subprocess.Popen[bytes]]) -> int:
    """Wait until one of the processes ends; return its status."""
    while True:
        for process in running:
            if process.poll() is not None:
                return process.returncode
        time.sleep(0.5)


def stop_all(running: list[subprocess.Popen[bytes]]) -> None:
    """Stop worker before server, gently first."""
    for process in reversed(running):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def say(text: str) -> None:
    """Print a line at once, also through a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
