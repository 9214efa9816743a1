"""A fake of `docker volume`: the volume is a file, its creation time a counter."""

from __future__ import annotations

from support.programs import Programs


def answer(programs: Programs) -> None:
    """Lets docker know `volume inspect`, `create` and `rm`, and the run that seeds one."""
    inspect = """[ -e $cd/volume ] || { echo "Error response from daemon: get $3: no such volume" >&2; exit 1; }
    printf '[{"Mountpoint": "/volumes/%s/_data", "CreatedAt": "%s"}]' "$3" "$(cat $cd/volume)\""""
    programs.answer("docker", "volume inspect", inspect)
    programs.answer("docker", "volume create", "echo x >> $cd/creations; wc -l < $cd/creations > $cd/volume")
    programs.answer("docker", "volume rm", "rm $cd/volume")
    programs.answer("docker", "run --rm --network=none --entrypoint=/bin/true", "touch $cd/seeded")
