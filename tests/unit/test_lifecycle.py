"""The rules for S3 (ingest/lifecycle.json, connect/compact/lifecycle.json) are what its API takes; no
attachment goes while a mail may still need it, and no object of the lake goes at all."""
import json
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DAY_MS = 86_400_000

try:
    import botocore.awsrequest
    import botocore.parsers
    import botocore.serialize
    import botocore.session
    import botocore.validate
except ImportError:
    print("skipped: no botocore, run deploy/local/setup", file=sys.stderr)
    sys.exit(77)

RULE = json.loads((ROOT / "ingest/lifecycle.json").read_text())
LAKE = json.loads((ROOT / "connect/compact/lifecycle.json").read_text())


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.model = botocore.session.get_session().get_service_model("s3")
        self.put = self.model.operation_model("PutBucketLifecycleConfiguration")

    def report(self, rule: dict) -> str:
        params = {"Bucket": "b", "LifecycleConfiguration": rule}
        report = botocore.validate.ParamValidator().validate(params, self.put.input_shape)
        return report.generate_report() if report.has_errors() else ""

    def test_it_is_the_api_s_own_form(self):
        self.assertEqual((self.report(RULE), self.report(LAKE)), ("", ""))
        broken = json.loads(json.dumps(RULE))
        broken["Rules"][0]["Expiration"] = {"Dayz": 410}
        self.assertIn("Dayz", self.report(broken))

    def test_there_and_back(self):
        """As XML over the wire, and as the server would give it again: the same."""
        serializer = botocore.serialize.create_serializer("rest-xml")
        sent = serializer.serialize_to_request(
            {"Bucket": "b", "LifecycleConfiguration": RULE}, self.put)
        get = self.model.operation_model("GetBucketLifecycleConfiguration")
        got = botocore.parsers.create_parser("rest-xml").parse(
            {"status_code": 200, "headers": {}, "body": sent["body"]}, get.output_shape)
        self.assertEqual(got["Rules"], RULE["Rules"])

    def test_it_is_old_enough(self):
        """A mail a year ahead, the longest that send takes one, and a month in the dead letters. The
        object's age counts from the day in its name, and another day's mail has an object of its own
        (stage.ingest_blobs), so that a hash that is used again is always young enough."""
        year = int(re.search(r"send_at\.v > w->base_us \+ (\d+) \* day_us",
                             (ROOT / "stages/mail/request_rules.c").read_text())[1])
        options = (ROOT / "deploy/OPTIONS.md").read_text()
        age = int(re.search(r"`max-age-ms` \| time \| `(\d+)d`", options)[1])
        topics = json.loads((ROOT / "deploy/topology.json").read_text())["topics"]
        kept = {t["name"]: int(t["config"].get("retention.ms", 0)) / DAY_MS for t in topics}
        days = RULE["Rules"][0]["Expiration"]["Days"]
        self.assertGreaterEqual(days, year + age + kept["mail.dlq"] + 1)
        self.assertTrue(RULE["Rules"][0]["Status"] == "Enabled")
        prefix = re.search(r"s3-prefix = (\S+)",
                           (ROOT / "deploy/local/conf/ingest.conf.in").read_text())[1]
        self.assertEqual(RULE["Rules"][0]["Filter"]["Prefix"], prefix)

    def test_the_lake_s_removes_parts_of_uploads_alone(self):
        self.assertEqual({key for rule in LAKE["Rules"] for key in rule},
                         {"ID", "Status", "Filter", "AbortIncompleteMultipartUpload"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
