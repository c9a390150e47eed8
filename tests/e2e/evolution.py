"""A running installation can be upgraded: its registry takes today's schemas behind those of every
release, and the other way round, under FULL_TRANSITIVE."""
import json
import unittest
import uuid

import requests

import lab

RELEASES = sorted((lab.ROOT / "tests/schemas").glob("v*"), key=lambda p: int(p.name[1:]))


def versions(name: str) -> list[dict]:
    paths = [r / name for r in RELEASES] + [lab.SCHEMAS / name]
    return [json.loads(p.read_text()) for p in paths if p.exists()]


def subject_of(name: str) -> str:
    subject = f"evolution.{uuid.uuid4().hex[:8]}.{name}-value"
    r = requests.put(f"{lab.ENV['REGISTRY']}/config/{subject}", timeout=20,
                     json={"compatibility": "FULL_TRANSITIVE"})
    r.raise_for_status()
    return subject


class Evolution(unittest.TestCase):
    def test_each_version_stands_beside_the_others(self):
        for path in sorted(lab.SCHEMAS.glob("*.avsc")):
            for step in (1, -1):
                with self.subTest(record=path.stem, step=step):
                    subject = subject_of(path.stem)
                    for schema in versions(path.name)[::step]:
                        self.assertGreater(lab.register(subject, schema), 0)

    def test_a_field_without_default_is_refused(self):
        schema = lab.schema("status")
        subject = subject_of("status")
        lab.register(subject, schema)
        schema["fields"].append({"name": "colour", "type": "string"})
        with self.assertRaises(requests.HTTPError):
            lab.register(subject, schema)


if __name__ == "__main__":
    lab.main()
