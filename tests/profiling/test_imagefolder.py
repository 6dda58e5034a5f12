from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adscale.errors import ImageFolderError
from profiling.images import find_images


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, **options: str) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in find_images(folder, **options)]


def mvtec(folder: Path, *classes: str) -> None:
    for name in classes:
        touch(
            folder / name,
            "train/good/000.png",
            "train/good/001.png",
            "test/good/000.png",
            "test/scratch/000.png",
            "ground_truth/scratch/000_mask.png",
            "license.txt",
            "sample.png",
        )


def test_a_plain_folder_is_read_to_the_bottom(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a/deep/er/c.jPeG", "a/x.TIF", "notes.txt", "png", "e.gif")
    assert found(tmp_path) == ["a/deep/er/c.jPeG", "a/x.TIF", "b.PNG"]


def test_what_is_no_image_of_the_user_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "._a.png", ".git/b.png", "__MACOSX/a.png", "ground_truth/a.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert found(tmp_path) == ["a.png"]


def test_of_an_mvtec_class_only_test_is_measured(tmp_path: Path) -> None:
    mvtec(tmp_path, "bottle")
    assert found(tmp_path / "bottle") == ["test/good/000.png", "test/scratch/000.png"]
    assert found(tmp_path / "bottle", select="normal") == [
        "train/good/000.png",
        "train/good/001.png",
    ]


def test_an_mvtec_root_gives_all_classes(tmp_path: Path) -> None:
    mvtec(tmp_path, "bottle", "cable")
    assert found(tmp_path) == [
        f"{name}/test/{kind}/000.png"
        for name in ("bottle", "cable")
        for kind in ("good", "scratch")
    ]
    assert found(tmp_path, select="normal") == [
        f"{name}/train/good/00{index}.png" for name in ("bottle", "cable") for index in (0, 1)
    ]


def test_part_of_an_mvtec_class_is_a_plain_folder(tmp_path: Path) -> None:
    mvtec(tmp_path, "bottle")
    assert found(tmp_path / "bottle" / "train") == ["good/000.png", "good/001.png"]


def test_all_images_of_a_plain_folder_are_normal(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "deep/b.png")
    found = find_images(tmp_path, select="normal")
    assert [file.relative_to(tmp_path).as_posix() for file in found] == ["a.png", "deep/b.png"]


@pytest.mark.parametrize("folder", ["", "bottle/"])
def test_a_class_without_normal_images_has_none(tmp_path: Path, folder: str) -> None:
    """The images to measure must not be taken for normal ones."""
    touch(tmp_path, f"{folder}test/crack/a.png", f"{folder}train/good/notes.txt")
    with pytest.raises(ImageFolderError, match="train/good"):
        find_images(tmp_path, select="normal")


@pytest.mark.parametrize("content", [(), ("notes.txt",), (".hidden.png",), ("sub/x.gif",)])
def test_a_folder_without_images_is_an_error(tmp_path: Path, content: tuple[str, ...]) -> None:
    touch(tmp_path, *content)
    with pytest.raises(ImageFolderError, match="there is no image in it") as caught:
        find_images(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_an_absent_folder_or_a_file_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    for place in (tmp_path / "absent", tmp_path / "a.png"):
        with pytest.raises(ImageFolderError, match="no such folder"):
            find_images(place)


def test_circles_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/i.png")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to("self")
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    assert found(tmp_path) == ["a/b/i.png"]


def test_links_to_elsewhere_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "store/i.png", "data/own.png")
    (tmp_path / "data" / "first").symlink_to("../store", target_is_directory=True)
    (tmp_path / "data" / "second").symlink_to("../store", target_is_directory=True)
    (tmp_path / "data" / "link.png").symlink_to("../store/i.png")
    assert found(tmp_path / "data") == ["first/i.png", "link.png", "own.png"]


names = st.text(st.sampled_from("abAB01"), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(paths=st.sets(st.lists(names, min_size=1, max_size=3).map("/d".join), min_size=1))
def test_every_image_is_found_once_in_one_order(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    wanted = [f"{path}.png" for path in paths]
    touch(folder, *wanted, *(f"{path}.txt" for path in paths))
    assert found(folder) == sorted(wanted, key=lambda name: name.split("/"))
