"""The operator's verbs on the real stack: redrive, replay, resend, trace, and the small ones.

What is proved by counting: every dead letter goes back once, whenever the command dies; a replay of
everything calls no provider; a resend calls it once.
"""
import json
import os
import pty
import signal
import subprocess
import time
import unittest
import uuid

from confluent_kafka import Producer

import lab

LETTERS = 400


def lines(*args: str) -> list[dict]:
    return [json.loads(line) for line in lab.sendmill(*args, "-o", "json").stdout.splitlines()]


def start(*args: str) -> subprocess.Popen:
    return subprocess.Popen([lab.BUILD / "bin/sendmill", *args], env={**os.environ, **lab.ENV},
                            cwd=lab.ROOT, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def send_one(**more) -> str:
    r = lab.post(lab.mail(**more))
    assert r.status_code == 202, r.text
    return r.json()["message_ids"][0]


def called(message: str, times: int = 1, seconds: float = 90) -> int:
    return lab.wait_for(f"{times} calls of {message}",
                        lambda: lab.calls().get(message, 0) >= times and lab.calls()[message],
                        seconds)


def keys_of(topic: str, wanted: set[bytes]) -> list[bytes]:
    return [m.key() for m in lab.read(topic) if m.key() in wanted]


def validates(ids: list[str]) -> int:
    """Dead letters of these requests; the sink has its own of each, whenever it comes to it."""
    wanted = {i.encode() for i in ids}
    return sum(m.key() in wanted and lab.headers(m)["mill.stage"] == "validate"
               for m in lab.dead_letters())


class Redrive(unittest.TestCase):
    """Requests of a schema that the registry does not know yet: poison, until it does."""

    def letters(self, number: int, n: int) -> list[str]:
        """n requests whose schema id nobody knows, dead by now."""
        schema = lab.schema("request")
        ids = [uuid.uuid4().hex for _ in range(n)]
        lab.produce("mail.requests", [(i.encode(), lab.encode(number, schema, {
            "request_id": i, "from": {"email": "shop@example.com"}, "subject": "hi",
            "text": "hello", "personalizations": [{"to": [{"email": "ann@example.org"}]}]}))
            for i in ids])
        lab.wait_for(f"{n} dead letters", lambda: validates(ids) >= n, 120)
        return ids

    def test_killed_in_the_middle_each_goes_back_once(self):
        # The next id that the registry will give: the schema is registered after the failure.
        probe = lab.schema("request")
        probe["doc"] = f"probe {uuid.uuid4()}"
        number = lab.register(f"probe.{uuid.uuid4().hex}-value", probe) + 1
        since = f"@{int(time.time() * 1000)}"
        ids = self.letters(number, LETTERS)
        wanted = {i.encode() for i in ids}
        fixed = lab.schema("request")
        fixed["doc"] = f"fixed {uuid.uuid4()}"
        self.assertEqual(lab.register(f"probe.{uuid.uuid4().hex}-value", fixed), number)

        filters = ("--class", "poison", "--stage", "validate", "--reason", "schema",
                   "--from", since)
        counted = lines("dlq", "redrive", *filters, "-n")
        self.assertEqual([(r["records"], r["to"]) for r in counted],
                         [(LETTERS, "mail.retry.validate")])
        for none in (("--class", "unknown"), ("--stage", "send"), ("--reason", "no such reason")):
            self.assertEqual(lines("dlq", "redrive", *none, "--from", since, "-n"), [])
        self.assertEqual(keys_of("mail.retry.validate", wanted), [])

        asked = lab.sendmill("dlq", "redrive", *filters, "--no-input", check=False)
        self.assertEqual(asked.returncode, 2)
        self.assertIn("--yes", asked.stderr)

        killed = start("dlq", "redrive", *filters, "--rate", "60", "--yes")
        lab.wait_for("some to go back", lambda: keys_of("mail.retry.validate", wanted), 60)
        killed.send_signal(signal.SIGKILL)
        _, said = killed.communicate(timeout=30)
        self.assertIn("goes on with: sendmill dlq redrive", said)
        before = len(keys_of("mail.retry.validate", wanted))
        self.assertLess(before, LETTERS)

        again = said.split("goes on with: sendmill ")[1].split("\n")[0].split()
        done = lab.sendmill(*again)
        self.assertIn("redriven", done.stdout)
        back = keys_of("mail.retry.validate", wanted)
        self.assertEqual(sorted(back), sorted(wanted))  # each, and each once
        self.assertIn("nothing to redrive", lab.sendmill(*again).stderr)
        self.assertEqual(len(keys_of("mail.retry.validate", wanted)), LETTERS)

        for m in lab.read("mail.retry.validate"):
            if m.key() in wanted:
                h = lab.headers(m)
                self.assertEqual((h["mill.redrives"], "mill.attempt" in h), ("1", False))
        lab.wait_for("each mailed", lambda: sum(
            lab.calls().get(f"{i}/0", 0) for i in ids) >= LETTERS, 120)
        self.assertEqual({lab.calls()[f"{i}/0"] for i in ids}, {1})

    def test_interrupted_it_says_how_to_go_on(self):
        since = f"@{int(time.time() * 1000)}"
        ids = self.letters(0x7ffffff0, 30)
        p = start("dlq", "redrive", "--stage", "validate", "--from", since, "--rate", "5", "--yes")
        lab.wait_for("some to go back", lambda: keys_of(
            "mail.retry.validate", {i.encode() for i in ids}), 60)
        p.send_signal(signal.SIGINT)
        out, said = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 130)
        self.assertIn("go on with: sendmill dlq redrive", said)
        self.assertIn("of 30 redriven", out)
        # What went back fails again: it is a dead letter before the next test counts its own.
        back = len(keys_of("mail.retry.validate", {i.encode() for i in ids}))
        lab.wait_for("they are dead again", lambda: validates(ids) >= len(ids) + back, 60)

    def test_one_place_and_what_is_no_place(self):
        self.letters(0x7ffffff0, 2)
        rows = lines("dlq", "ls", "--class", "poison", "--stage", "validate", "--from", "@-1m")
        place = f"{rows[-1]['partition']}/{rows[-1]['offset']}"
        self.assertEqual([r["records"] for r in lines("dlq", "redrive", place, "-n")], [1])
        for wrong, code in (("0/99999999", 66), ("x", 2)):
            self.assertEqual(lab.sendmill("dlq", "redrive", wrong, "-n", check=False).returncode,
                             code)

    def test_nothing_in_it_steers_the_terminal(self):
        key = b"\x1b]0;yours\x07" + uuid.uuid4().hex.encode()
        lab.produce("mail.requests", [(key, b"\0\x7f\xff\xff\xf0\x1b[2J")])
        m = lab.wait_for("the letter", lambda: [
            m for m in lab.dead_letters() if m.key() == key], 60)[0]
        for text in (lab.sendmill("dlq", "show", f"{m.partition()}/{m.offset()}").stdout,
                     lab.sendmill("dlq", "ls", "--from", "@-5m").stdout,
                     lab.sendmill("tail", "mail.dlq", "--from", "@-5m:end").stdout):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\x07", text)

    def test_no_stage_has_two_hands(self):
        """Of two redrives at once only one goes on, and nothing goes back twice."""
        since = f"@{int(time.time() * 1000)}"
        ids = self.letters(0x7ffffff0, 60)
        two = [start("dlq", "redrive", "--stage", "validate", "--from", since, "--to", "end", "--rate",
                     "30", "--yes") for _ in range(2)]
        codes = sorted((p.communicate(timeout=120), p.returncode)[1] for p in two)
        self.assertEqual(codes[0], 0)
        back = keys_of("mail.retry.validate", {i.encode() for i in ids})
        self.assertEqual(sorted(back), sorted(i.encode() for i in ids))


    def test_too_often_is_parked(self):
        key = uuid.uuid4().hex
        p = Producer({"bootstrap.servers": lab.ENV["BROKERS"]})
        p.produce("mail.dlq", partition=1, key=key, value=b"junk", headers={
            "mill.class": "poison", "mill.stage": "validate", "mill.redrives": "5",
            "mill.origin": "x/1/2/3", "__connect.errors.topic": "mail.requests",
            "__connect.errors.partition": "3", "__connect.errors.exception.message": "by a test"})
        p.produce("mail.dlq", partition=1, key=key, value=b"junk",
                  headers={"mill.class": "poison", "mill.stage": "delay"})
        p.flush(30)
        done = lab.sendmill("dlq", "redrive", "--reason", "by a test", "--from", "@-2m", "--yes")
        self.assertIn("1 of 1 redriven", done.stdout)
        back = [m for m in lab.read("mail.retry.validate") if m.key() == key.encode()]
        self.assertEqual([(m.partition(), lab.headers(m)["mill.origin"]) for m in back],
                         [(3, "x/1/2/3")])
        self.assertEqual([r["redriven"] for r in lines("dlq", "ls", "--reason", "by a test",
                                                       "--from", "@-5m") if r["key"] == key], [True])
        self.assertIn("(redriven)", lab.sendmill("dlq", "ls", "--from", "@-5m").stdout)
        parked = lab.wait_for("it is parked", lambda: [
            m for m in lab.read("mail.parked") if m.key() == key.encode()], 60)
        self.assertEqual(lab.headers(parked[0])["mill.redrives"], "6")
        # No stage takes it back: said, counted, left alone.
        stays = lab.sendmill("dlq", "redrive", "--stage", "delay", "--yes", check=False)
        self.assertEqual(stays.returncode, 1)
        self.assertIn("no retry topic", stays.stdout)


class Asked(unittest.TestCase):
    """On a terminal a verb that does harm asks; the answer decides."""

    def answer(self, text: str, *args: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        p = subprocess.Popen([lab.BUILD / "bin/sendmill", *args], env={**os.environ, **lab.ENV},
                             cwd=lab.ROOT, stdin=theirs, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        os.write(ours, text.encode())
        out, _ = p.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        return p.returncode, out

    def test_yes_or_no(self):
        for text, code in (("n\n", 3), ("\n", 3), ("yess\n", 3), ("y\n", 0)):
            with self.subTest(text):
                got, out = self.answer(text, "replay", "mail.requests", "--from", "-1")
                self.assertEqual(got, code, out)
                self.assertIn("Go on? [y/N]", out)
                self.assertEqual("replayed" in out, code == 0)

    def test_the_number_of_mails(self):
        message = send_one()
        called(message)
        for text, code in (("y\n", 3), ("2\n", 3), ("1\n", 0)):
            with self.subTest(text):
                got, out = self.answer(text, "resend", message)
                self.assertEqual(got, code, out)
                self.assertIn("AGAIN", out)
        self.assertEqual(called(message, 2), 2)


class Replay(unittest.TestCase):
    def test_all_requests_again_call_nobody(self):
        sent = [send_one(to=f"r{i}@example.org") for i in range(20)]
        for message in sent:
            called(message)
        calls, messages = lab.calls(), len(lab.read("mail.messages"))
        requests = len(lab.read("mail.requests"))
        counted = lines("replay", "mail.requests", "--from", "start", "-n")
        self.assertEqual({r["stages"] for r in counted}, {"validate"})
        self.assertGreaterEqual(sum(r["at_most"] for r in counted), requests)
        self.assertEqual(lab.calls(), calls)

        killed = start("replay", "mail.requests", "--from", "start", "--rate",
                       str(max(requests // 8, 5)), "--yes")
        before = len(lab.read("mail.retry.validate"))
        lab.wait_for("some to be replayed",
                     lambda: len(lab.read("mail.retry.validate")) > before, 60)
        killed.send_signal(signal.SIGKILL)
        _, said = killed.communicate(timeout=30)
        run = said.split("--resume=")[1].split()[0]
        rest = lines("replay", "--resume", run, "--yes")[-1]
        self.assertTrue(rest["complete"])
        self.assertEqual(len(lab.read("mail.retry.validate")) - before, requests)
        self.assertIn("nothing to replay", lab.sendmill("replay", "--resume", run, "--yes").stderr)

        ids = {m.encode() for m in sent}
        lab.wait_for("the messages again", lambda: sum(
            m.key() in ids for m in lab.read("mail.messages")[messages:]) or len(
                [m for m in lab.read("mail.messages") if m.key() in ids]) >= 2 * len(sent), 120, 1)
        again = lines("replay", "mail.messages", "--from", "start", "--yes")[-1]
        self.assertTrue(again["complete"])
        last = send_one()  # behind all of it, in at least one partition
        called(last)
        time.sleep(10)
        after = lab.calls()
        self.assertEqual({m: after[m] for m in calls}, calls)
        # What was dead when it came first, and is none now, was never mailed: that is no second call.
        dead = {m.key() for m in lab.dead_letters()}
        self.assertEqual([m for m in after if m not in calls and m != last and
                          m.split("/")[0].encode() not in dead], [])

    def test_what_cannot_be_replayed(self):
        for args, code in ((("mail.requests",), 2), (("mail.nowhere", "--from", "start"), 66),
                           (("mail.requests", "--from", "start", "--stage", "send"), 66),
                           (("mail.failures", "--from", "start"), 66),
                           (("--resume", str(uuid.uuid4())), 66)):
            with self.subTest(args):
                self.assertEqual(lab.sendmill("replay", *args, "-n", check=False).returncode, code)


class Resend(unittest.TestCase):
    def test_it_mails_once_more_and_says_so(self):
        message = send_one()
        called(message)
        dry = lab.sendmill("resend", message, "-n")
        self.assertIn("ann@example.org", dry.stderr)
        for more, code in (((), 2), (("--confirm=2",), 2), (("--yes",), 2)):
            self.assertEqual(lab.sendmill("resend", message, "--no-input", *more,
                                          check=False).returncode, code)
        self.assertEqual(lab.sendmill("resend", str(uuid.uuid4()), "--confirm=1",
                                      check=False).returncode, 66)
        self.assertEqual(lab.calls()[message], 1)
        done = lines("resend", message, "--confirm=1")[0]
        self.assertEqual(called(message, 2), 2)
        rows = lines("trace", message)
        self.assertIn(done["resend_id"], [r["value"].get("resend_id") for r in rows
                                          if r["topic"] == "mail.messages"])
        # A replay of it all is no resend, and neither calls a third time.
        lab.sendmill("replay", "mail.messages", "--from", "@-5m", "--yes")
        lab.look_later(10, lambda: self.assertEqual(lab.calls()[message], 2))


class Trace(unittest.TestCase):
    def test_the_whole_way(self):
        message = send_one()
        request = message.split("/")[0]
        called(message)
        lab.wait_for("its event", lambda: any(
            m.key() == message.encode() for m in lab.read("mail.events")), 60)
        rows = lines("trace", request)
        topics = [r["topic"] for r in rows]
        for topic in ("mail.requests", "mail.messages", "mail.ledger", "mail.status",
                      "mail.callbacks.events", "mail.events"):
            self.assertIn(topic, topics)
        self.assertEqual(topics[0], "mail.requests")
        times = [r["since_first_ms"] for r in rows]
        self.assertEqual(times, sorted(times))
        kinds = [r["value"]["kind"] for r in rows if r["topic"] == "mail.ledger"]
        self.assertLess(kinds.index("INTENT"), kinds.index("OUTCOME"))
        self.assertTrue({r["topic"] for r in lines("trace", message)} >= set(topics))
        table = lab.sendmill("trace", request).stdout.splitlines()
        now = [line for line in table if line.startswith("now: ")]
        self.assertRegex("".join(now), "DELIVERED")
        self.assertEqual((len(now), len(table) - 1), (1, 1 + len(lines("trace", request))))

    def test_a_failure_and_its_redrive_are_on_it(self):
        lab.behave({"faults": [{"status": 400}]})
        self.addCleanup(lab.behave, None)
        message = send_one()
        letter = lab.wait_for("the dead letter", lambda: [
            m for m in lab.dead_letters() if m.key() == message.encode()], 90)[0]
        lab.behave(None)
        done = lab.sendmill("dlq", "redrive", f"{letter.partition()}/{letter.offset()}", "--yes")
        self.assertIn("1 of 1", done.stdout)
        topics = lab.wait_for("the retry", lambda: [
            t for t in [[r["topic"] for r in lines("trace", message)]] if "mail.retry.send" in t],
            30, 1)[0]
        for topic in ("mail.failures", "mail.dlq", "mail.retry.send"):
            self.assertIn(topic, topics)

    def test_nothing(self):
        for wrong, code in (("nobody-knows-it", 66), ("a b", 2)):
            self.assertEqual(lab.sendmill("trace", wrong, check=False).returncode, code)


class Controls(unittest.TestCase):
    def test_each_is_a_record(self):
        category = f"news-{uuid.uuid4().hex[:8]}"
        lab.sendmill("pause", category, "--reason", "too fast")
        held = [p for p in lines("pauses") if p["category"] == category]
        self.assertEqual([p["reason"] for p in held], ["too fast"])
        lab.sendmill("resume", category)
        self.assertEqual([p for p in lines("pauses") if p["category"] == category], [])

        address = f"{uuid.uuid4().hex}@example.org"
        lab.sendmill("suppressions", "add", address.upper(), "--tenant", "demo")
        rows = [s for s in lines("suppressions", "ls", "--tenant", "demo")
                if s["address"] == address]
        self.assertEqual([s["reason"] for s in rows], ["MANUAL"])
        lab.sendmill("suppressions", "lift", address, "--tenant", "demo")
        self.assertEqual([s for s in lines("suppressions", "ls") if s["address"] == address], [])

        self.assertEqual(lab.sendmill("cancel", "some-id", check=False).returncode, 2)
        lab.sendmill("cancel", "some-id", "--tenant", "demo")
        self.assertIn(b"some-id", [m.key() for m in lab.read("mail.cancellations")])


if __name__ == "__main__":
    lab.main()
