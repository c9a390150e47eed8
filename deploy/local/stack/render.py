"""Fills the templates of conf/: @NAME@ becomes the value of NAME."""
import re
from pathlib import Path
from .base import LOCAL, Fail
from .instance import Instance, write_private

CONF = LOCAL / "conf"


def text(template: Path, values: dict[str, str]) -> str:
    def value(m: re.Match) -> str:
        if m.group(1) not in values:
            raise Fail(f"{template.name}: nothing is known as @{m.group(1)}@")
        return str(values[m.group(1)])
    return re.sub(r"@([A-Z0-9_]+)@", value, template.read_text())


def to_file(i: Instance, template: str, values: dict[str, str]) -> Path:
    out = i.path("conf", template.removesuffix(".in"))
    write_private(out, text(CONF / template, values))
    return out
