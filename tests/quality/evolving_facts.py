"""A generated corpus of evolving facts: what is true now, what was true then, and what was retired wrongly.

    HF_HUB_OFFLINE=1 .venv/bin/python -m tests.quality.evolving_facts [--subjects 200] [--per-user] [--details]

200 subjects with one attribute each (city, job, diet, or who owns a service), five changes each, in three wordings of
the generator's own per attribute and kind of statement; beside them facts that stay true, alike in form. All statements
are stored in the order of their time through the engine, in one namespace and user (or one user per subject).

* current: a search for the subject's attribute finds the present value first, and none of the earlier ones at all;
* as_of: the same at a moment inside each earlier value's interval;
* wrongly retired: statements that never stopped being true and are not found as current.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from app.container import Container
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory
from app.memory.search import SearchRequest

FIRST = (
    "Maria Ken Olga Tariq Ines Bruno Yara Piotr Leila Hugo Mina Oscar Zoe Amir Freya Luca Nadia Sven Chloe Ravi Petra "
    "Diego Salma Anton Keiko Jonas Wanda Emil Rosa Ivo Thea Malik Greta Pablo Edith Arjun Lotte Felix Naomi Stefan"
).split()
LAST = "Berg Costa Duarte Ek Fontaine Grant Holm Ito Jansen Kovac".split()
PLACES = "Lisbon Oslo Kyoto Toronto Nairobi Prague Dublin Seattle Melbourne Lyon Hamburg Bogota Tallinn Naples".split()
JOBS = (
    "nurse|pilot|software engineer|teacher|graphic designer|lawyer|chef|electrician|data analyst|journalist|"
    "pharmacist|architect|bus driver|translator"
).split("|")
DIETS = "vegan vegetarian pescatarian keto paleo kosher halal flexitarian".split()
SERVICES = (
    "billing search login checkout inventory reporting email export audit pricing shipping catalog payroll session "
    "metrics backup"
).split()
KINDS = ("city", "job", "diet", "owner")
FIRST_SAID = {
    "city": ("{s} lives in {v}", "{s} is based in {v}", "{s} resides in {v}"),
    "job": ("{s} works as {a} {v}", "{s} is {a} {v}", "{s}'s job is {v}"),
    "diet": ("{s} follows a {v} diet", "{s} is on a {v} diet", "{s} eats a {v} diet"),
    "owner": ("{v} owns the {s} service", "The {s} service is owned by {v}", "{v} is responsible for the {s} service"),
}
THEN_SAID = {
    "city": ("{s} moved to {v}", "{s} now lives in {v}", "{s} has relocated from {o} to {v}", "{s} lives in {v}"),
    "job": ("{s} is now {a} {v}", "{s} started working as {a} {v}", "{s} became {a} {v}", "{s} works as {a} {v}"),
    "diet": ("{s} switched to a {v} diet", "{s} now follows a {v} diet", "{s} is on a {v} diet these days",
             "{s} went from {o} to {v}"),
    "owner": ("{v} took over the {s} service", "The {s} service is now owned by {v}",
              "Ownership of the {s} service passed to {v}", "{v} owns the {s} service"),
}  # fmt: skip
ASKED = {
    "city": "Where does {s} live?",
    "job": "What does {s} work as?",
    "diet": "Which diet does {s} follow?",
    "owner": "Who owns the {s} service?",
}
STAYS = (
    "{s} visited {p} last summer", "{s} likes the food in {p}", "{s} has a sister in {p}", "{s} was born in {p}",
    "{s} plays tennis on Saturdays", "{s} likes hiking", "{s} is allergic to nuts", "{s} speaks Portuguese",
    "{s}'s brother works as a nurse", "{s}'s best friend is a vegan", "{s} once wanted to become a pilot",
    "{s} has two cats", "{s} bought a car from a lawyer", "{s} is reading a book about {p}",
    "{s} considered moving to {p}", "{s} owns a sailing boat", "{s} used to work in {p}",
)  # fmt: skip
SERVICE_STAYS = (
    "The {s} service is written in Go", "The {s} service runs in {p}", "The {s} service depends on Redis",
    "{v} wrote the documentation of the {s} service", "{v} reviewed the {s} service in May",
)  # fmt: skip
START = datetime(2024, 1, 1, 9, tzinfo=UTC)


@dataclass
class Subject:
    """One subject: its attribute's values with the time from which each holds."""

    name: str
    kind: str
    values: list[tuple[datetime, str]] = field(default_factory=list)


@dataclass
class Figures:
    """Right and wrong answers."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def rate(self, what: str) -> float:
        return self.counts[f"{what} right"] / max(1, self.counts[what])


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def corpus(subjects: int, *, changes: int = 5, seed: int = 7) -> tuple[list[Subject], list[tuple[datetime, str, str]]]:
    """Subjects, and their statements by time as (time, subject, text); those that stay true begin with "="."""
    rng = random.Random(seed)
    people = [f"{first} {last}" for last in LAST for first in FIRST]
    services = [f"{a}-{b}" for a in SERVICES for b in SERVICES if a != b]
    rng.shuffle(people)
    made, said = [], []
    for number in range(subjects):
        kind = KINDS[number % len(KINDS)]
        name = services[number] if kind == "owner" else people[number]
        pool = {"city": PLACES, "job": JOBS, "diet": DIETS, "owner": people[subjects:]}[kind]
        values = rng.sample(pool, changes + 1)
        subject = Subject(name, kind)
        for turn, value in enumerate(values):
            at = START + timedelta(days=60 * turn + rng.randrange(30), minutes=number)
            wording = rng.choice(FIRST_SAID[kind] if turn == 0 else THEN_SAID[kind])
            old = values[turn - 1] if turn else ""
            said.append((at, name, wording.format(s=name, v=value, o=old, a=_article(value))))
            subject.values.append((at, value))
        for wording in rng.sample(SERVICE_STAYS if kind == "owner" else STAYS, 4):
            at = START + timedelta(days=rng.randrange(360), minutes=number)
            said.append((at, name, "=" + wording.format(s=name, p=rng.choice(PLACES), v=rng.choice(people))))
        made.append(subject)
    return made, sorted(said)


def measure(engine: Container, namespace: str, *, subjects: int = 200, per_user: bool = False) -> Figures:
    """Store the corpus and ask about it."""
    made, said = corpus(subjects)
    figures = Figures()
    staying: list[Memory] = []
    memories = []
    for number, (at, name, text) in enumerate(said):
        memory = Memory(
            id=f"{namespace}-{number}", text=text.removeprefix("="), namespace=namespace,
            user_id=name if per_user else "team", created_at=at, last_accessed=at, persisted_at=at,
        )  # fmt: skip
        memories.append(memory)
        if text.startswith("="):
            staying.append(memory)
    for start in range(0, len(memories), 20):
        block = memories[start : start + 20]
        vectors = engine.embedder.embed([m.text for m in block])
        engine.consolidation.store(block, vectors, deduplicate=True, actor="client")
    for subject in made:
        _ask(engine, namespace, subject, {m.text for m in staying}, figures)
    for memory in staying:
        figures.counts["staying"] += 1
        found = engine.records.find([memory.id], namespace=namespace)[0]
        if found and found[0][0].valid_to is None:
            figures.counts["staying right"] += 1
        else:
            figures.notes.append(f"retired: {memory.text} by {found[0][0].superseded_by if found else '-'}")
    return figures


def _ask(engine: Container, namespace: str, subject: Subject, staying: set[str], figures: Figures) -> None:
    question = ASKED[subject.kind].format(s=subject.name)
    base = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    for turn, (begins, value) in enumerate(subject.values):
        last = turn == len(subject.values) - 1
        ends = begins + timedelta(days=5) if last else subject.values[turn + 1][0]
        condition = base if last else replace(base, as_of=begins + (ends - begins) / 2)
        request = SearchRequest(text=question, condition=condition, limit=10, recency_boost=False)
        texts = [hit.memory.text for hit in engine.search.search(request).memories]
        telling = [
            t for t in texts if subject.name in t and any(v in t for _at, v in subject.values) and t not in staying
        ]
        wrong = [t for t in telling if value not in t]
        what = "current" if last else "as_of"
        figures.counts[what] += 1
        if telling and value in telling[0] and not wrong:
            figures.counts[f"{what} right"] += 1
        else:
            figures.notes.append(f"{what}: {subject.name} should be {value}: {telling or texts[:3]}")


def main() -> int:
    """Print the figures."""
    from app.config import Settings
    from migrations import runner
    from tests.support.redis_server import session_redis

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--per-user", action="store_true")
    parser.add_argument("--details", action="store_true")
    arguments = parser.parse_args()
    with session_redis() as url:
        settings = Settings(redis_url=url)
        engine = Container(settings)
        runner.up(engine.redis, settings, lambda _line: None)
        figures = measure(engine, "evolving", subjects=arguments.subjects, per_user=arguments.per_user)
    for what in ("current", "as_of", "staying"):
        print(f"{what:8} {figures.rate(what):.4f}  ({figures.counts[what]})")
    if arguments.details:
        print("\n".join(figures.notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
