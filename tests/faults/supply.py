"""Jars that are not those that Helix was tested with: bits that turned, other versions, files that are cut off."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from helix_spark.catalog.places.place import LocalPath
from helix_spark.engine.spark.jars import delta_jars
from helix_spark.errors import SetupError
from tests.faults.row import NotHereError, Tally, fault


@fault("a jar of Delta's that was changed on its way or on the disk", "refused with its name, before a JVM has it",
       short=6, full=100)
def changed_jars(folder: LocalPath, count: int, tally: Tally) -> None:
    try:
        sound = delta_jars(os.environ)
    except SetupError as error:
        raise NotHereError(f"there are no jars to change: {error.what}") from error
    chance = random.Random(5)
    jars = Path(folder) / "jars"
    for number in tally.rounds(count):
        shutil.rmtree(jars, ignore_errors=True)
        jars.mkdir()
        for jar in sound:
            os.link(jar, jars / jar.name) if jar.stat().st_dev == jars.stat().st_dev else shutil.copy(jar, jars)
        broken = jars / chance.choice(sound).name
        content = bytearray(broken.read_bytes())
        broken.unlink()
        if number % 3:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del content[chance.randrange(1, len(content)):]
        broken.write_bytes(content)
        try:
            delta_jars({**os.environ, "HELIX_JARS": str(jars)})
            tally.expect(False, f"{broken.name} was taken")
        except SetupError as error:
            tally.expect(broken.name in f"{error}", f"{broken.name}: {error}")
