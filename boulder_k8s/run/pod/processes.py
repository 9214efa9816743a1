"""The pod's processes and the owner of its run directory."""

import os


def descendants(ancestor):
    """Returns the ids of the processes that descend from `ancestor`, without zombies."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            children.setdefault(int(parent), []).append((int(name), state))
    found, queue = [], [ancestor]
    while queue:
        for pid, state in children.get(queue.pop(), []):
            queue.append(pid)
            if state != b"Z":
                found.append(pid)
    return found


def heeding(number, group):
    """Returns the ids of the processes of a process group that do not ignore the signal `number`, without zombies."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            with open("/proc/%d/status" % pid) as file:
                ignored = next(line for line in file if line.startswith("SigIgn:")).split()[1]
            if os.getpgid(pid) == group and not int(ignored, 16) >> (number - 1) & 1:
                found.append(pid)
        except (OSError, StopIteration):
            continue  # it has ended meanwhile
    return found


def give_to_owner(directory):
    """Makes every file in the run directory belong to the user and group that own the directory."""
    owner = os.stat(directory)
    for folder, _, files in os.walk(directory):
        for name in [folder] + [os.path.join(folder, file) for file in files]:
            try:
                os.chown(name, owner.st_uid, owner.st_gid, follow_symlinks=False)
            except OSError:
                pass  # a file system that decides the owner itself (Docker Desktop)
