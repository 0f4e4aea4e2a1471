"""Photographs and their maps, paired by the id that their names share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from segspade_core.datasets.files import SampleFiles
from segspade_core.errors import Problem

Samples = dict[str, list[SampleFiles]]
Paths = dict[str, list[str]]  # id → the files that claim it; more than one is a problem


@dataclass(frozen=True)
class Found:
    """What a source holds of the splits asked for."""

    samples: Samples  # split → samples, sorted by id; all are paired, none is decoded yet
    problems: list[Problem]  # files that are in no sample, and why


@dataclass
class Folder:
    """The files of one folder of photographs and of the folder that holds their maps."""

    photographs: list[SampleFiles] = field(default_factory=list)  # without maps yet
    label_ids: Paths = field(default_factory=dict)
    instance_ids: Paths = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def pair(
    folder: Folder, label_path: Callable[[SampleFiles], str], photo_path: Callable[[str], str]
) -> tuple[list[SampleFiles], list[Problem]]:
    """Give each photograph its maps.

    A folder where no photograph has a label map is left unlabelled; whether that will do is for the caller to
    say. Where some have one, all must: arrays have no holes.

    Args:
        folder: what there is.
        label_path: photograph → where its label map should lie, for messages.
        photo_path: id → where its photograph should lie, for messages.

    Returns:
        The samples whose files are all there, and the problems of the others.
    """
    problems = list(folder.problems)
    samples = []
    for photograph in folder.photographs:
        problem = _of_photograph(folder, photograph, label_path)
        if problem is not None:
            problems.append(problem)
            continue
        labels, instances = (
            paths.get(photograph.id, []) for paths in (folder.label_ids, folder.instance_ids)
        )
        problems += _several(labels, "label map") + _several(instances, "instance map")
        if len(labels) <= 1 and len(instances) <= 1:
            samples.append(
                replace(
                    photograph, label_ids=next(iter(labels), None), instance_ids=next(iter(instances), None)
                )
            )
    known = {photograph.id for photograph in folder.photographs}
    for paths, word in ((folder.label_ids, "label map"), (folder.instance_ids, "instance map")):
        for id in paths.keys() - known:
            what = f"is {'an' if word[0] == 'i' else 'a'} {word} without a photograph"
            problems += [
                Problem(path, what, f"Put {photo_path(id)} there, or delete it") for path in paths[id]
            ]
    return samples, problems


def _of_photograph(
    folder: Folder, photograph: SampleFiles, label_path: Callable[[SampleFiles], str]
) -> Problem | None:
    if folder.label_ids and photograph.id not in folder.label_ids:
        return Problem(
            photograph.image, "has no label map", f"Put {label_path(photograph)} there, or delete it"
        )
    return None


def _several(paths: list[str], word: str) -> list[Problem]:
    if len(paths) <= 1:
        return []
    return [
        Problem(path, f"is one of {len(paths)} {word}s of the same photograph", "Keep one of them")
        for path in paths
    ]


@dataclass
class Gathered:
    """What was found so far; splits and folders are added one after the other."""

    samples: Samples = field(default_factory=dict)
    photographs: list[SampleFiles] = field(default_factory=list)  # of every folder, paired or not
    problems: list[Problem] = field(default_factory=list)

    def add(
        self,
        split: str,
        folder: Folder,
        label_path: Callable[[SampleFiles], str],
        photo_path: Callable[[str], str],
    ) -> None:
        """Add the pairs of one folder to a split; see `pair`."""
        samples, problems = pair(folder, label_path, photo_path)
        self.samples.setdefault(split, []).extend(samples)
        self.photographs += folder.photographs
        self.problems += problems

    def found(self) -> Found:
        """Everything, sorted, without the photographs whose id another has too, be it of another split.

        A frame that is in train and in val would be scored on what it was trained with.
        """
        groups: dict[str, list[str]] = {}
        for photograph in self.photographs:
            groups.setdefault(photograph.id, []).append(photograph.image)
        duplicates = [
            Problem(path, f"has the id {id}, as {' and '.join(_others(paths, path))} has", "Keep one of them")
            for id, paths in groups.items()
            if len(paths) > 1
            for path in paths
        ]
        twice = {problem.file for problem in duplicates}
        problems = self.problems + duplicates
        samples = {}
        for split, group in self.samples.items():
            unique = sorted(
                (files for files in group if files.image not in twice), key=lambda files: files.id
            )
            holes = _without_instances(unique)
            problems += holes
            left_out = {problem.file for problem in holes}
            samples[split] = [files for files in unique if files.image not in left_out]
        return Found(samples, sorted(problems))


def _without_instances(group: list[SampleFiles]) -> list[Problem]:
    """The samples without an instance map, where others have one."""
    if all(files.instance_ids is None for files in group):
        return []
    what = "has no instance map, and others of its split have one"
    remedy = "Put its instance map there, or delete all instance maps of the split to do without"
    return [Problem(files.image, what, remedy) for files in group if files.instance_ids is None]


def _others(paths: list[str], path: str) -> list[str]:
    return sorted(other for other in paths if other != path)
