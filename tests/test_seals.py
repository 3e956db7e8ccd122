import re
import shutil
from pathlib import Path

import pytest

from events.seals import IN_MODEL, SEAL, check_seal, find_fault, seal
from events.shards import DamageError


@pytest.fixture
def model(tmp_path):
    """A sealed folder with a file and a folder."""
    folder = tmp_path / "model[1]" / "7"
    (folder / "variables").mkdir(parents=True)
    (folder / "graph").write_bytes(b"constants")
    (folder / "variables" / "data").write_bytes(bytes(3 << 20))
    seal(str(folder), IN_MODEL)
    return folder


def flip_bit(folder: Path):
    content = bytearray((folder / "variables" / "data").read_bytes())
    content[2 << 20] ^= 1
    (folder / "variables" / "data").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (flip_bit, "other content in {}/variables/data"),
        (lambda folder: (folder / "graph").write_bytes(b"Constants"), "other content in {}/graph"),
        (lambda folder: (folder / "graph").write_bytes(b""), "other content in {}/graph"),
        (lambda folder: (folder / "graph").unlink(), "no file {}/graph"),
        (lambda folder: shutil.rmtree(folder / "variables"), "no file {}/variables/data"),
        (lambda folder: (folder / IN_MODEL).write_text("{"), "no list of files in {}/" + IN_MODEL),
        (lambda folder: (folder / IN_MODEL).write_text("[1]"), "no list of files in {}/" + IN_MODEL),
        (lambda folder: (folder / IN_MODEL).write_bytes(b"\xff"), "no list of files in {}/" + IN_MODEL),
    ],
)
def test_damage_is_one_line_with_file_and_remedy(model, damage, fault):
    damage(model)
    with pytest.raises(DamageError) as raised:
        check_seal(str(model), IN_MODEL, str(model.parent))
    assert str(raised.value) == (
        f"What a stage made must be as it was written. Received: {fault.format(model)}. "
        f"Delete the folder {model.parent} and run again."
    )


def test_folder_that_is_gone_is_made_again_by_another_run(tmp_path):
    with pytest.raises(DamageError) as raised:
        check_seal(str(tmp_path / "7"))
    assert str(raised.value) == (
        f"What a stage made must be as it was written. Received: no folder {tmp_path}/7. Run again."
    )


def test_what_is_added_elsewhere_or_was_moved_is_no_damage(model, tmp_path):
    (model / "assets.extra" / "tf_serving_warmup_requests").write_text("requests")
    copy = shutil.copytree(model, tmp_path / "copy")
    assert find_fault(str(copy), IN_MODEL) == find_fault(str(model), IN_MODEL) == ""


def test_folder_without_a_seal_is_taken_as_it_is(tmp_path):
    (tmp_path / "graph").write_text("somebody else's")
    check_seal(str(tmp_path))


def test_folder_is_sealed_on_another_file_system():
    import tensorflow as tf

    folder = "ram://sealed/graph"
    tf.io.gfile.makedirs(folder + "/inner")
    for name in ("a", "inner/b"):
        with tf.io.gfile.GFile(f"{folder}/{name}", "w") as file:
            file.write(name)
    seal(folder)
    assert tf.io.gfile.exists(f"{folder}/{SEAL}")
    check_seal(folder)
    with tf.io.gfile.GFile(f"{folder}/inner/b", "w") as file:
        file.write("c")
    with pytest.raises(DamageError, match=re.escape(f"other content in {folder}/inner/b. Delete the folder {folder}")):
        check_seal(folder)
