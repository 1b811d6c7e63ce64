"""The Java client: compiled from the tree without a warning, its own tests run against the server under test."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.support.sdk import JAVA, run
from tests.support.stack import Server

PACKAGE = "dev.agentmemory.client"


def test_every_method_works_against_the_server(stack: Server, java: str) -> None:
    report = run("java", "-cp", java, f"{PACKAGE}.LiveTest", stack.base_url, cwd=JAVA)
    assert report.strip().endswith("8 of 8"), report


def test_it_copes_with_a_server_that_misbehaves(java: str) -> None:
    report = run("java", "-cp", java, f"{PACKAGE}.TransportTest", cwd=JAVA)
    assert report.strip().endswith("9 of 9"), report


def test_users_of_maven_get_jackson_and_nothing_else() -> None:
    pom = ET.parse(JAVA / "pom.xml")
    names = {"m": "http://maven.apache.org/POM/4.0.0"}
    found = [d.findtext("m:artifactId", namespaces=names) for d in pom.findall("m:dependencies/m:dependency", names)]
    assert found == ["jackson-databind"]
    assert pom.findtext("m:properties/m:maven.compiler.release", namespaces=names) == "17"
