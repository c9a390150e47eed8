"""What a dead letter says, and the events in it: the rules of unpack and enrich, without Spark.

A letter is the bytes that a stage failed on. What it may hold depends on who failed:

    unpack                 a provider's post (Callback), with any number of events
    enrich                 one event in the provider's words (CallbackEvent)
    the sink's rejected=   a row of mail.events itself (Event)

All else is no event, and left. Rows are those that the pipeline would have made: the same columns,
the same event_id (tests/e2e/lake_queries.py compares the two).
"""
import hashlib
import io
import json
import re
from datetime import datetime, timezone
from typing import NamedTuple

import fastavro
import pyarrow as pa


class Left(Exception):
    """The letter stays where it is; the text says why."""


class Schemas(NamedTuple):
    """Avro schemas, parsed by fastavro."""
    writers: dict[int, dict | None]  # by the id of a frame; None: the registry does not know it
    callback: dict
    callback_event: dict
    event: dict


# ---- bytes ----

def schema_id(value: bytes | None) -> int | None:
    """The schema that a frame names: byte 0, the id in 4 bytes, the Avro body."""
    return int.from_bytes(value[1:5], "big") if value and len(value) >= 5 and value[0] == 0 else None


def decode(value: bytes | None, schemas: Schemas, reader: dict) -> dict:
    number = schema_id(value)
    if number is None:
        raise Left("it has no value" if not value else "its value does not begin with a frame")
    writer = schemas.writers.get(number)
    if writer is None:
        raise Left(f"the registry does not know schema {number}")
    body = io.BytesIO(value[5:])
    try:
        record = fastavro.schemaless_reader(body, writer, reader)
    except Exception as e:  # fastavro raises whatever the bytes lead it to
        names = [s["name"].split(".")[-1] for s in (writer, reader)]
        raise Left(f"schema {number} ({names[0]}) does not read as {names[1]}: {type(e).__name__}") from e
    if body.read(1):
        raise Left(f"bytes are left over behind schema {number}")
    return record


def arrow_type(avro) -> pa.DataType:
    """The sink's column for an Avro type (connect/lake/README.md), as far as events need it."""
    if isinstance(avro, list):
        return arrow_type(next(t for t in avro if t != "null"))
    if not isinstance(avro, dict):
        return {"boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(),
                "double": pa.float64(), "string": pa.string(), "bytes": pa.binary()}[avro]
    if avro.get("logicalType") in ("timestamp-micros", "timestamp-millis"):
        return pa.timestamp("us" if avro["logicalType"].endswith("micros") else "ms", "UTC")
    if avro["type"] == "array":
        return pa.list_(arrow_type(avro["items"]))
    if avro["type"] == "map":
        return pa.map_(pa.string(), arrow_type(avro["values"]))
    if avro["type"] == "record":
        return pa.struct([(f["name"], arrow_type(f["type"])) for f in avro["fields"]])
    return pa.string() if avro["type"] == "enum" else arrow_type(avro["type"])


# ---- JSON of providers: a field of a wrong type is a missing field (send/providers/events.c) ----

def _no_number(word: str):
    raise ValueError(f"{word} is no JSON")


def _json(text: str | bytes):
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise Left(f"no JSON: {e!s:.100}") from e


def _text(o, *path: str) -> str | None:
    """A string that says something, at the end of a path of objects."""
    for key in path:
        o = o.get(key) if isinstance(o, dict) else None
    return o if isinstance(o, str) and o else None


def _time_us(v) -> int:
    """Seconds or milliseconds since 1970, as number or text; 0: no time."""
    if isinstance(v, str) and re.fullmatch(r"-?\d{1,18}", v):
        v = int(v)
    if isinstance(v, bool) or not isinstance(v, (int, float)) or not 0 < v < 1e14:
        return 0
    return int((v * 1e3 if v >= 1e11 else v * 1e6) + 0.5)


def _flag(v) -> bool | None:
    if isinstance(v, (bool, int)):
        return bool(v)
    return v == "true" if v in ("true", "false") else None


def _words(v) -> list[str]:
    return [s for s in (v if isinstance(v, list) else [v]) if isinstance(s, str) and s]


def _message_id(text: str | None) -> str | None:
    return text if text and re.fullmatch(r"[A-Za-z0-9._~:-]{1,128}/[0-9]{1,10}", text) else None


def _class(code: str | None) -> str | None:
    """Why it bounced, by an enhanced code ("5.1.1")."""
    return {"5.1.": "Invalid Address", "5.2.": "Mailbox Unavailable", "5.4.": "Technical Failure",
            "5.7.": "Reputation"}.get((code or "")[:4])


def event_id(event: dict, provider_id: str | None) -> str:
    """Of what happened, not of the provider's own id, which may change when it tells it again."""
    digest = hashlib.sha256()
    for part in (event["provider"], provider_id, event["provider_event"], event["recipient"],
                 str(event["occurred_us"]), event["url"], event["reason"]):
        data = (part or "").encode()
        digest.update((len(data) + 1).to_bytes(8, "big") + data)
    return digest.hexdigest()[:32]


# ---- providers ----

_SENDGRID = {"processed": "PROCESSED", "delivered": "DELIVERED", "deferred": "DEFERRED",
             "bounce": "BOUNCED", "dropped": "DROPPED", "open": "OPENED", "click": "CLICKED",
             "spamreport": "COMPLAINED", "unsubscribe": "UNSUBSCRIBED",
             "group_unsubscribe": "UNSUBSCRIBED", "group_resubscribe": "RESUBSCRIBED"}
_MAILGUN = {"accepted": "PROCESSED", "delivered": "DELIVERED", "failed": "BOUNCED",
            "rejected": "DROPPED", "opened": "OPENED", "clicked": "CLICKED",
            "complained": "COMPLAINED", "unsubscribed": "UNSUBSCRIBED"}


def _group(o: dict) -> str:
    number = o.get("asm_group_id")
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else \
        _text(o, "asm_group_id") or "?"


def _sendgrid(o: dict) -> tuple[dict, str | None]:
    word = _text(o, "event")
    kind = _SENDGRID.get((word or "").lower(), "OTHER")
    why = _text(o, "bounce_classification") if kind in ("BOUNCED", "DROPPED") else None
    if kind == "BOUNCED" and not why:
        why = _text(o, "type")
    ours = (_text(o, "mill_message_id") or _text(o, "custom_args", "mill_message_id")
            or _text(o, "unique_args", "mill_message_id"))
    sg_id = _text(o, "sg_message_id")
    return {
        "type": kind, "provider_event": word, "message_id": ours,
        "provider_id": sg_id and sg_id.split(".", 1)[0], "provider_event_id": _text(o, "sg_event_id"),
        "recipient": _text(o, "email"), "occurred_us": _time_us(o.get("timestamp")),
        "bounce_class": why,
        "machine_open": _flag(o.get("sg_machine_open")) if kind == "OPENED" else None,
        "url": _text(o, "url"), "reason": _text(o, "reason") or _text(o, "response"),
        "ip": _text(o, "ip"), "user_agent": _text(o, "useragent"),
        "categories": _words(o.get("category")), "group": _group(o) if word and word.startswith("group_") else None,
    }, sg_id


def _mailgun(o: dict) -> tuple[dict, str | None]:
    word = _text(o, "event")
    kind = _MAILGUN.get((word or "").lower(), "OTHER")
    if kind == "BOUNCED" and o.get("severity") == "temporary":
        kind = "DEFERRED"
    elif kind == "BOUNCED" and (_text(o, "reason") or "").startswith("suppress"):
        kind = "DROPPED"
    why = None
    if kind in ("BOUNCED", "DROPPED"):
        code = _text(o, "delivery-status", "enhanced-code") or _text(o, "delivery-status", "bounce-code")
        why = _class(code) or _text(o, "reason")
    header = _text(o, "message", "headers", "message-id")
    if header and len(header) >= 2 and header[0] == "<" and header[-1] == ">":
        header = header[1:-1]
    bot = o["client-info"].get("bot") if isinstance(o.get("client-info"), dict) else None
    return {
        "type": kind, "provider_event": word,
        "message_id": _text(o, "user-variables", "mill_message_id"),
        "provider_id": header, "provider_event_id": _text(o, "id"),
        "recipient": _text(o, "recipient"), "occurred_us": _time_us(o.get("timestamp")),
        "bounce_class": why,
        "machine_open": bool(bot) if kind == "OPENED" and isinstance(bot, str) else None,
        "url": _text(o, "url"),
        "reason": (_text(o, "delivery-status", "message") or _text(o, "delivery-status", "description")
                   or _text(o, "reject", "reason") or _text(o, "reason")),
        "ip": _text(o, "ip") or _text(o, "envelope", "sending-ip"),
        "user_agent": _text(o, "client-info", "user-agent"), "categories": _words(o.get("tags")),
    }, header


def _smtp(o: dict) -> tuple[dict, str | None]:
    reply, kind, why = _text(o, "reply"), "OTHER", None
    if o.get("event") == "refused":
        for_good = (reply or "").startswith("5")
        kind = "BOUNCED" if for_good else "DROPPED"
        words = (reply or "").split(" ")
        code = words[1] if len(words) > 1 and len(words[1]) >= 5 and words[1][1] == "." else None
        why = _class(code) or ("refused" if for_good else "refused for now")
    ours = _message_id(_text(o, "mill_message_id"))
    return {
        "type": kind, "provider_event": _text(o, "event"), "message_id": ours, "provider_id": None,
        "provider_event_id": None, "recipient": _text(o, "recipient"),
        "occurred_us": _time_us(o.get("timestamp")), "bounce_class": why, "machine_open": None,
        "url": None, "reason": reply, "ip": None, "user_agent": None, "categories": [],
    }, ours


def _sendgrid_post(post) -> list:
    if not isinstance(post, list):
        raise Left("the post is no JSON array")
    return post


def _mailgun_post(post) -> list:
    if not isinstance(post, dict) or "event-data" not in post:
        raise Left("the post has no event-data")
    return [post["event-data"]]


# name: (its event in our words and the most that it says of which mail, events of a post)
PROVIDERS = {"sendgrid": (_sendgrid, _sendgrid_post), "mailgun": (_mailgun, _mailgun_post),
             "smtp": (_smtp, None)}


def event(provider: str, told, received_at: datetime, message_id: str | None) -> dict:
    """A row of mail.events without what only the ledger knows."""
    if provider not in PROVIDERS:
        raise Left(f"there is no rule for the provider {provider!r:.60}")
    if not isinstance(told, dict):
        raise Left("the event is no JSON object")
    row, provider_id = PROVIDERS[provider][0](told)
    row["provider"] = provider
    row.setdefault("group", None)
    row["event_id"] = event_id(row, provider_id)
    row["message_id"] = _message_id(row["message_id"]) or _message_id(message_id)
    us = row.pop("occurred_us")
    row["occurred_at"] = datetime.fromtimestamp(us // 1000000, timezone.utc).replace(
        microsecond=us % 1000000) if us else received_at
    row.update(received_at=received_at, matched=False, request_id=None, tenant=None, latency_ms=None,
               metadata={}, recipient=row["recipient"] or "",
               provider_event=row["provider_event"] or "")
    return row


# ---- letters ----

def _of_unpack(value: bytes, schemas: Schemas) -> list[dict]:
    post = decode(value, schemas, schemas.callback)
    split = PROVIDERS.get(post["provider"], (None, None))[1]
    if not split:
        raise Left(f"there is no rule for posts of the provider {post['provider']!r:.60}")
    return [event(post["provider"], told, post["received_at"], None) for told in split(_json(post["body"]))]


def _of_enrich(value: bytes, schemas: Schemas) -> list[dict]:
    one = decode(value, schemas, schemas.callback_event)
    return [event(one["provider"], _json(one["raw"]), one["received_at"], one["message_id"])]


def _of_events(value: bytes, schemas: Schemas) -> list[dict]:
    return [decode(value, schemas, schemas.event)]


STAGES = {"unpack": _of_unpack, "enrich": _of_enrich}
SINK = "sink-parquet"


def events(stage: str | None, value: bytes | None, schemas: Schemas) -> list[dict]:
    """The rows that a letter holds.
    @param stage that failed on it; None: a record of mail.events that the sink rejected
    @raise Left with the reason"""
    read = STAGES.get(stage) if stage is not None else _of_events
    if stage == SINK:
        raise Left("the sink keeps it in rejected=TOPIC, where an event is swept from")
    if not read:
        raise Left(f"what {stage or 'nobody'} failed on is no event: see sendmill dlq redrive")
    rows = read(value, schemas)
    if not rows:
        raise Left("the post holds no event")
    return rows
