from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adscale.config import _folder_errors
from adscale.errors import ImageFolderError
from profiling.image_files import find_images, linked_folders
from tests.shared_folders import as_nobody


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def skipped(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): reason for p, reason in find_images(folder).skipped}


def found(folder: Path, **options: str) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in find_images(folder, **options).files]


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
    assert found(tmp_path, select="normal") == ["a.png", "deep/b.png"]


@pytest.mark.parametrize("folder", ["", "bottle/"])
def test_a_class_without_normal_images_has_none(tmp_path: Path, folder: str) -> None:
    """The images to measure must not be taken for normal ones."""
    touch(tmp_path, f"{folder}test/crack/a.png", f"{folder}train/good/notes.txt")
    with pytest.raises(ImageFolderError, match="train/good"):
        find_images(tmp_path, select="normal")


def test_btad_and_mvtec_ad_2(tmp_path: Path) -> None:
    btad, second = tmp_path / "BTAD", tmp_path / "mvtec_ad_2"
    touch(btad / "01", "train/ok/0.bmp", "test/ok/0.bmp", "test/ko/1.bmp", "ground_truth/ko/1.png")
    assert found(btad) == ["01/test/ko/1.bmp", "01/test/ok/0.bmp"]
    assert found(btad, select="normal") == ["01/train/ok/0.bmp"]
    touch(
        second / "can", "train/good/0.png", "validation/good/1.png", "test_public/good/2.png",
        "test_public/bad/3.png", "test_public/ground_truth/bad/3_mask.png", "test_private/4.png",
        "test_private_mixed/5.png",
    )  # fmt: skip
    tested = ["test_private/4.png", "test_private_mixed/5.png", "test_public/bad/3.png"]
    assert found(second / "can") == [*tested, "test_public/good/2.png"]
    assert found(second, select="normal") == ["can/train/good/0.png"]


def visa(folder: Path) -> None:
    images = [f"Data/Images/{name}.JPG" for name in ("Normal/0", "Normal/1", "Anomaly/0")]
    for name in ("candle", "pcb1"):
        touch(folder / name, *images, "Data/Masks/Anomaly/0.png", "image_anno.csv")


def test_visa(tmp_path: Path) -> None:
    visa(tmp_path)
    candle = tmp_path / "candle"
    assert found(candle) == [
        f"Data/Images/{name}.JPG" for name in ("Anomaly/0", "Normal/0", "Normal/1")
    ]
    assert found(candle, select="normal") == [f"Data/Images/Normal/{name}.JPG" for name in (0, 1)]
    touch(tmp_path, "split_csv/1cls.csv")
    (tmp_path / "split_csv" / "1cls.csv").write_text(
        "object,split,label,image,mask\n"
        "candle,train,normal,candle/Data/Images/Normal/0.JPG,\n"
        "candle,test,normal,candle/Data/Images/Normal/1.JPG,\n"
        "candle,test,anomaly,candle/Data/Images/Anomaly/0.JPG,candle/Data/Masks/Anomaly/0.png\n"
        "pcb1,train,normal,pcb1/Data/Images/Normal/1.JPG,\n"
        "pcb1,test,normal,pcb1/Data/Images/Normal/7.JPG,\n"
        "pcb1,test,normal,../elsewhere/x.JPG,\n"
    )
    assert found(tmp_path) == [
        "candle/Data/Images/Anomaly/0.JPG", "candle/Data/Images/Normal/1.JPG",
    ]  # fmt: skip
    assert skipped(tmp_path) == {"pcb1/Data/Images/Normal/7.JPG": "No such file or directory"}
    assert found(tmp_path, select="normal") == [
        "candle/Data/Images/Normal/0.JPG", "pcb1/Data/Images/Normal/1.JPG",
    ]  # fmt: skip
    assert len(found(candle)) == 3, "nothing is looked for above the folder that was named"
    (tmp_path / "split_csv" / "1cls.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        ImageFolderError, match=r"1cls\.csv: does not say which images are for test"
    ):
        find_images(tmp_path)


@pytest.mark.parametrize("jsons", ["realiad_jsons", "realiad_jsons/realiad_jsons"])
def test_real_iad(tmp_path: Path, jsons: str) -> None:
    images = ["OK/S1/a_OK_C1.jpg", "OK/S2/b_OK_C1.jpg", "NG/AK/S1/a_NG_C1.jpg"]
    touch(tmp_path / "realiad_256" / "tape", *images, "NG/AK/S1/a_NG_C1.png")
    tape = tmp_path / "realiad_256" / "tape"
    assert found(tape) == sorted(images)
    assert found(tape, select="normal") == images[:2]
    assert found(tape / "NG") == ["AK/S1/a_NG_C1.jpg"]
    touch(tmp_path, f"{jsons}/tape.json")
    split = {
        "meta": {"normal_class": "OK", "prefix": "tape/"},
        "train": [{"anomaly_class": "OK", "image_path": images[0], "mask_path": None}],
        "test": [
            {"anomaly_class": "OK", "image_path": images[1], "mask_path": None},
            {"anomaly_class": "AK", "image_path": images[2], "mask_path": "NG/AK/S1/a_NG_C1.png"},
        ],
    }
    (tmp_path / jsons / "tape.json").write_text(json.dumps(split))
    assert found(tmp_path) == [f"realiad_256/tape/{name}" for name in sorted(images[1:])]
    assert found(tmp_path, select="normal") == [f"realiad_256/tape/{images[0]}"]
    (tmp_path / jsons / "tape.json").write_text("[]")
    with pytest.raises(ImageFolderError, match=r"tape\.json: does not say which images"):
        find_images(tmp_path)


def test_good_and_bad_parts_of_a_plant(tmp_path: Path) -> None:
    """OK and NG with PNG images, which are no masks."""
    touch(tmp_path, "OK/a.png", "NG/b.png", "NG/c.bmp", "unclear/d.png", "e.png")
    assert found(tmp_path) == ["NG/b.png", "NG/c.bmp", "OK/a.png", "e.png", "unclear/d.png"]
    assert found(tmp_path, select="normal") == ["OK/a.png"]
    touch(tmp_path / "NG" / "only", "x.png", "x.jpg")
    (tmp_path / "OK").rename(tmp_path / "good")
    assert "NG/only/x.png" in found(tmp_path)


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


def test_what_might_be_an_image_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.txt", "b.webp", "deep/c.HEIC")
    for link, target in {
        "gone.png": "/nowhere/x.png", "deep/gone.jpg": "x.jpg", "folder": "/nowhere/images",
        "list.txt": "/nowhere/list.txt", "self.tif": "self.tif",
    }.items():  # fmt: skip
        (tmp_path / link).symlink_to(target)
    os.mkfifo(tmp_path / "pipe.png")
    assert found(tmp_path) == ["a.png"]
    assert skipped(tmp_path) == {
        "b.webp": "is of a format that is not read",
        "deep/c.HEIC": "is of a format that is not read",
        "deep/gone.jpg": "is a link to x.jpg, where there is nothing",
        "folder": "is a link to /nowhere/images, where there is nothing",
        "gone.png": "is a link to /nowhere/x.png, where there is nothing",
        "pipe.png": "is neither file nor folder",
        "self.tif": "is a link that leads to itself",
    }


def test_a_folder_of_links_to_nowhere_names_the_first(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").symlink_to(f"/nowhere/{number}.png")
    with pytest.raises(
        ImageFolderError,
        match=r"can be read \(0\.png is a link to /nowhere/0\.png, where there is nothing, and 2",
    ):
        find_images(tmp_path)


def test_a_folder_inside_without_permission_is_told(open_folder: Path) -> None:
    touch(open_folder, "a.png", "closed/b.png")
    (open_folder / "closed").chmod(0)
    with as_nobody():
        assert found(open_folder) == ["a.png"]
        assert skipped(open_folder) == {"closed": "cannot be listed (Permission denied)"}


@pytest.mark.parametrize("closed", ["inner", "inner/images", "inner/images/x"])
def test_a_folder_without_permission_ends_in_one_line(open_folder: Path, closed: str) -> None:
    """Whatever of the way to it is closed; also where the configuration is checked."""
    touch(open_folder, "inner/images/x/a.png")
    (open_folder / closed).chmod(0)
    images = open_folder / "inner" / "images"
    with as_nobody():
        with pytest.raises(ImageFolderError, match="Permission denied"):
            find_images(images)
        problems = [str(error) for error in _folder_errors("images", str(images))]
    if closed == "inner":
        (line,) = problems
        assert line.startswith("images: ")
        assert "Permission denied" in line


def test_folders_that_links_lead_to(tmp_path: Path) -> None:
    """A container has to be told of each, on the way and at the end."""
    touch(tmp_path, "data/own.png", "store/a.png", "disk/b.png", "whole/deep/c.png", "other/x.txt")
    data = tmp_path / "data"
    (data / "a.png").symlink_to("../store/a.png")
    (tmp_path / "store" / "b.png").symlink_to("../disk/b.png")
    (data / "b.png").symlink_to("../store/b.png")
    (data / "whole").symlink_to("../whole", target_is_directory=True)
    (data / "again.png").symlink_to("own.png")
    (data / "gone.png").symlink_to("/nowhere/gone.png")
    (data / "other").symlink_to("../other", target_is_directory=True)
    names = {folder.relative_to(tmp_path).as_posix() for folder in linked_folders(data)}
    assert names == {"store", "disk", "whole"}


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
