"""What systems and editors leave behind is no data, wherever it lies."""

from pathlib import Path

import pytest

from equipoise.cohorts.formats.file_names import data_files, data_folders, is_data, is_left_behind


@pytest.mark.parametrize(
    "name",
    [
        "._scan.nii.gz",
        ".DS_Store",
        "__MACOSX",
        "Thumbs.db",
        "THUMBS.DB",
        ".ipynb_checkpoints",
        "desktop.ini",
        "@eaDir",
        "a.nii~",
    ],
)
def test_left_behind(name: str) -> None:
    assert is_left_behind(name)


@pytest.mark.parametrize("name", ["scan.nii.gz", "checkpoint.png", "thumbs", "1.2.840.5", "_mask.png"])
def test_data(name: str) -> None:
    assert not is_left_behind(name)


def test_files_below_a_folder_are_found_once_and_in_order(tmp_path: Path) -> None:
    root = tmp_path / ".cache" / "data"
    kept = ["a/2.png", "a/b/1.png", "z.png"]
    for name in [*kept, "a/._2.png", "__MACOSX/a/2.png", "a/.ipynb_checkpoints/2-checkpoint.png", "Thumbs.db"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "a" / "back").symlink_to(root, target_is_directory=True)
    assert sorted(file.relative_to(root).as_posix() for file in data_files(root)) == kept
    assert [folder.name for folder in data_folders(root)] == ["a"]
    assert is_data(root / "z.png", root), "how the root itself is named does not matter"
    assert not is_data(root / "__MACOSX" / "a" / "2.png", root)


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.png").write_bytes(b"x")
    root = tmp_path / "data"
    root.mkdir()
    (root / "images").symlink_to(tmp_path / "store", target_is_directory=True)
    (root / "2.png").symlink_to(tmp_path / "store" / "1.png")
    assert [file.relative_to(root).as_posix() for file in data_files(root)] == ["2.png", "images/1.png"]
