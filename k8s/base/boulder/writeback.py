"""Brings what is written to the pod's copy of Boulder's configuration into the checkout.

    writeback.py COPY DIRECTORY    looks each second, and once more after SIGTERM: the sidecar of `up`'s Boulder

Under Compose test/config is a directory of the checkout. Here it is a copy of the ConfigMap (prepare.sh), laid over the
checkout's directory. A run's supervisor.py imports this file and looks once, before it records how the run ended. The
image's Python runs it (3.9 or newer), so it uses the standard library only.
"""

import hashlib
import os
import shutil
import signal
import stat
import sys
from typing import NamedTuple

PAUSE = 1.0  # seconds between looks of the sidecar
CHUNK = 1 << 20
PARTIAL = ".boulder-k8s-partial"  # a file of this name is renamed as soon as it is whole


class Entry(NamedTuple):
    """What is at a path. content: a kind, and a file's hash or a link's target."""

    content: tuple
    mode: int
    owner: tuple


class Refused(Exception):
    """The checkout has changed too: what the pod has is not written over it."""


class WriteBack:
    """Compares a pod's copy with what it was when this object was made, and brings the differences into a directory.

    copy: the pod's. directory: the checkout's own.
    """

    def __init__(self, copy, directory):
        # The open directory stays readable if somebody replaces the checkout's and the kernel takes the mount away.
        self.copy = f"/proc/self/fd/{os.open(copy, os.O_RDONLY | os.O_DIRECTORY)}"
        self.directory = directory
        self.hashes = {}
        self.base = self.look()

    def look(self):
        """Returns every path of the copy with its Entry; the copy itself is at ".". Reads only files that have changed
        since the last look.
        """
        found = {".": self.entry(self.copy + "/.")}
        for folder, directories, files in os.walk(self.copy + "/"):
            for name in directories + files:
                path = os.path.join(folder, name)
                if entry := self.entry(path):
                    found[os.path.relpath(path, self.copy)] = entry
        return found

    def entry(self, path):
        """Returns what is at a path, or None if nothing is. Raises OSError."""
        try:
            found = os.lstat(path)
            kind = stat.S_IFMT(found.st_mode)
            if kind == stat.S_IFLNK:
                content = (kind, os.readlink(path))
            elif kind == stat.S_IFREG:
                key = (path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
                if key not in self.hashes:
                    self.hashes[key] = digest(path)
                content = (kind, self.hashes[key])
            else:
                content = (kind, "")
        except (FileNotFoundError, NotADirectoryError):
            return None
        # A link's permissions mean nothing.
        mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(found.st_mode)
        return Entry(content, mode, (found.st_uid, found.st_gid))

    def bring(self):
        """Brings every difference into the checkout.

        Returns three things by path: `written`, a list; `kept`, why the checkout's was not overwritten; `failed`, why it
        could not be written. Raises OSError if the copy cannot be read.
        """
        found = {"written": [], "kept": {}, "failed": {}}
        now = self.look()
        changed = sorted(path for path in {*self.base, *now} if self.base.get(path) != now.get(path))
        # What a directory holds is removed before it, and made after it.
        removed = [path for path in reversed(changed) if path not in now]
        for path in removed + [path for path in changed if path in now]:
            before, after = self.base.get(path), now.get(path)
            try:
                if self.bring_one(path, before, after):
                    found["written"].append(path)
            except Refused as refused:
                found["kept"][path] = str(refused)
                continue
            except OSError as error:
                found["failed"][path] = error.strerror or str(error)
                continue
            self.base.pop(path, None)
            if after:
                self.base[path] = after
        found["written"].sort()
        return found

    def bring_one(self, path, before, after):
        """Brings one path into the checkout; returns False if the checkout has it already. before: what the pod had
        first. after: what it has now. Either is None if that is nothing.

        Raises Refused if the checkout has something else than both, or OSError.
        """
        here = os.path.join(self.directory, path)
        # A link in the checkout is a file in the copy. Under Compose a program writes to the file that it leads to.
        target = os.path.realpath(here)
        there = self.entry(target)
        if after is None:
            if there is None:
                return False
            if there.content != before.content:
                raise Refused("deleted by the run, changed in the checkout")
            os.rmdir(here) if stat.S_ISDIR(there.content[0]) and not os.path.islink(here) else os.unlink(here)
            return True
        if before is None:
            if there and there.content != after.content:
                raise Refused("made by the run and in the checkout")
            if there:
                return False
            self.put(path, target, after, None)
            return True
        if there is None:
            raise Refused("changed by the run, deleted in the checkout")
        wanted = {}
        for field in Entry._fields:
            was, is_, checkout = getattr(before, field), getattr(after, field), getattr(there, field)
            if was != is_ and checkout not in (was, is_):
                raise Refused("changed by the run and in the checkout")
            wanted[field] = checkout if was == is_ else is_
        if Entry(**wanted) == there:
            return False
        self.put(path, target, Entry(**wanted), there)
        return True

    def put(self, path, target, wanted, there):
        """Makes `target`, of which the checkout has `there` or None, what is wanted of `path`. A file appears whole.
        Raises OSError; then the checkout has what it had.
        """
        source = os.path.join(self.copy, path)
        kind, text = wanted.content
        if there and there.content == wanted.content:
            dress(target, wanted)
            return
        partial = os.path.join(os.path.dirname(target), PARTIAL)
        try:
            if kind == stat.S_IFREG:
                shutil.copyfile(source, partial)
                dress(partial, wanted)
                found = os.stat(source)
                os.utime(partial, ns=(found.st_atime_ns, found.st_mtime_ns))
            elif kind == stat.S_IFLNK:
                os.symlink(text, partial)
                dress(partial, wanted)
            elif kind == stat.S_IFDIR:
                os.mkdir(partial, 0o700)
                dress(partial, wanted)
            else:
                raise OSError(0, "it is neither a file nor a directory nor a link")
            if there and stat.S_IFDIR in (kind, there.content[0]) and kind != there.content[0]:
                os.rmdir(target) if there.content[0] == stat.S_IFDIR else os.unlink(target)
            os.rename(partial, target)
        except OSError:
            if os.path.isdir(partial) and not os.path.islink(partial):
                os.rmdir(partial)
            elif os.path.lexists(partial):
                os.unlink(partial)
            raise


def dress(path, wanted):
    """Gives a path its owner and permissions. Raises OSError."""
    try:
        os.chown(path, *wanted.owner, follow_symlinks=False)
    except PermissionError:
        pass  # a file system that decides the owner itself (Docker Desktop)
    if wanted.content[0] != stat.S_IFLNK:
        os.chmod(path, wanted.mode)  # last: chown takes setuid away


def digest(path):
    """Returns the hash of a file's content. Raises OSError."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            found.update(data)
    return found.hexdigest()


def said(found):
    """Returns a line for each path that did not get into the checkout. found: what `bring` returned."""
    return [f"{path} is not overwritten: {why}" for path, why in sorted(found["kept"].items())] + [
        f"{path} is not written: {why}" for path, why in sorted(found["failed"].items())
    ]


def watch(copy, directory):
    """Brings what is written into the checkout, each second until SIGTERM. Prints each problem once."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the first process of a container has no default for it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    work = WriteBack(copy, directory)
    lines = set()
    ended = None
    while not ended:
        ended = signal.sigtimedwait({signal.SIGTERM}, PAUSE)
        if ended:
            work.hashes.clear()  # a file may have changed within one tick of its clock
        try:
            found = said(work.bring())
        except OSError as error:
            found = [f"the copy cannot be read: {error}"]
        for line in found:
            if line not in lines:
                lines.add(line)
                print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    watch(*sys.argv[1:])
