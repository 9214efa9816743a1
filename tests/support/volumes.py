"""A fake of `docker volume`: a volume is a file, its creation time a counter. That of the cluster `unit` is the file `volume`."""

from __future__ import annotations

from support.programs import Programs


def answer(programs: Programs) -> None:
    """Lets docker know `volume inspect`, `create` and `rm`, and the run that seeds one."""
    file = 'name="${@: -1}"; file=$cd/volume; [ $name = boulder-k8s-unit ] || file=$cd/$name\n'
    inspect = """[ -e $file ] || { echo "Error response from daemon: get $3: no such volume" >&2; exit 1; }
    printf '[{"Mountpoint": "/volumes/%s/_data", "CreatedAt": "%s"}]' "$3" "$(cat $file)\""""
    programs.answer("docker", "volume inspect", file + inspect)
    programs.answer("docker", "volume create", file + "echo x >> $cd/creations; wc -l < $cd/creations > $file")
    programs.answer("docker", "volume rm", file + "rm $file")
    programs.answer("docker", "run --rm --network=none --entrypoint=/bin/true", "touch $cd/seeded")
