"""The SDKs of other languages, built from the working tree as their users would.

Their tools (node and npm; a JDK and Jackson) are no part of the platform's set-up: what needs one is skipped where it
is missing, and says so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.stack import ROOT, Server

JAVASCRIPT = ROOT / "clients" / "javascript"
JAVA = ROOT / "clients" / "java"
PACKAGE = "@agent-memory-platform/client"
BUILD_SECONDS = 240
_OFFLINE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|network", re.IGNORECASE)
_JARS = ("jackson-annotations", "jackson-core", "jackson-databind")
_JAR_FOLDERS = (Path("/usr/share/java"), Path("/usr/local/share/java"), JAVA / "lib")


def need(*tools: str) -> None:
    """Skip the test unless all these commands are on the PATH."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def run(*command: str | Path, cwd: Path, timeout: float = BUILD_SECONDS, **environment: str) -> str:
    """Run a command that must succeed; its standard output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def build_javascript(server: Server, directory: Path) -> Path:
    """Build the JavaScript client with types made from the server's own document; the folder of the package.

    `src/openapi.ts` in the tree is what the client was released with. Compiled against today's document instead, the
    client fails here when the API moves away from under it.
    """
    need("node", "npm")
    _install_node_modules()
    for part in ("src", "test"):
        shutil.copytree(JAVASCRIPT / part, directory / part)
    for part in ("package.json", "tsconfig.json", "tsconfig.cjs.json"):
        shutil.copy(JAVASCRIPT / part, directory)
    (directory / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    run("npm", "run", "--silent", "generate", cwd=directory, AGENT_MEMORY_URL=server.base_url)
    run("npm", "run", "--silent", "build", cwd=directory)
    return directory


def _install_node_modules() -> None:
    lock = JAVASCRIPT / "package-lock.json"
    installed = JAVASCRIPT / "node_modules" / ".package-lock.json"
    if installed.exists() and _versions(installed).items() <= _versions(lock).items():
        return
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=JAVASCRIPT, capture_output=True, text=True, timeout=BUILD_SECONDS
    )
    if done.returncode != 0 and _OFFLINE.search(done.stderr):
        pytest.skip("the npm registry cannot be reached, and node_modules is not there")
    assert done.returncode == 0, done.stderr


def _versions(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {name: package.get("version", "") for name, package in packages.items() if name}


def jackson() -> str:
    """The class path of Jackson: Debian's, or jars put into clients/java/lib."""
    for folder in _JAR_FOLDERS:
        jars = [folder / f"{name}.jar" for name in _JARS]
        if all(jar.exists() for jar in jars):
            return os.pathsep.join(map(str, jars))
    pytest.skip("Jackson is not installed (on Debian: apt install libjackson2-databind-java)")


def build_java(directory: Path) -> str:
    """Compile the Java client, its tests and the example; the class path of them and of Jackson."""
    need("java", "javac")
    libraries = jackson()
    sources = sorted([*(JAVA / "src").rglob("*.java"), *(ROOT / "examples" / "java").glob("*.java")])
    run(
        "javac",
        "--release",
        "17",
        "-Xlint:all,-serial",
        "-Werror",
        "-cp",
        libraries,
        "-d",
        directory,
        *sources,
        cwd=JAVA,
    )
    return os.pathsep.join([str(directory), libraries])
