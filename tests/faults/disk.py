"""A file system for the broker's data alone, that can be made full."""
import os
import subprocess
from pathlib import Path


class Disk:
    """In memory; making it full means making it as small as what it holds. Needs root."""

    SIZE = 4 << 30

    def __init__(self, where: Path):
        self.where = where
        self.mounted = False

    def mount(self) -> None:
        if self.where.is_mount():  # of a run that was killed
            subprocess.run(["umount", "-l", self.where], check=False)
        self.where.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE}", "faults",
                               self.where], capture_output=True, text=True, check=False)
        self.mounted = done.returncode == 0
        if not self.mounted:
            print(f"skipped: broker's disk full: {done.stderr.strip()}", flush=True)

    def again(self) -> bool:
        """Is it there since an earlier run?"""
        self.mounted = self.where.is_mount()
        return self.mounted

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", self.where], check=False)
            self.mounted = False

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.where], check=True)

    def fill(self) -> None:
        """No room but for what is there already."""
        fs = os.statvfs(self.where)
        self.resize((fs.f_blocks - fs.f_bfree) * fs.f_frsize + (64 << 10))

    def free(self) -> None:
        self.resize(self.SIZE)
