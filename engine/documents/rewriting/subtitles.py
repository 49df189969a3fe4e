"""Subtitles (srt, vtt, ass): every time, number, setting and tag stays; lines are broken anew, as wide as they were.

A sentence that goes on under the next times is one piece, so that it is translated whole, and parted again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from engine.documents.rewriting import Made, Options
from engine.documents.rewriting.markdown import SPACELESS
from engine.documents.rewriting.markup import Marked, tagged
from engine.documents.rewriting.plain import LETTER, Letters
from engine.errors import InputError

WIDTH = 42
"""Characters of a line, as subtitlers have it; a file whose lines are longer keeps theirs."""
MAX_JOINED, MAX_GAP_SECONDS = 4, 1.5
"""Subtitles that one sentence may have, and the pause between two of them."""
_TIME = r"(?:\d{1,3}:)?[0-5]?\d:[0-5]?\d[,.]\d{1,3}"
_TIMES = re.compile(rf"\s*({_TIME})\s*-->\s*({_TIME})(?:\s.*)?$")
_ENDED = re.compile(r"[.!?…:;。！？♪][\"'”’»)\]*\s]*$")
_DASH = re.compile(r"\s*(?:<[^>]*>|\{[^}]*\})*\s*[-–—]\s*\S")


@dataclass
class Cue:
    """What is said between two times: the lines, and what stands before them in the file."""

    start: float
    end: float
    lines: list[str]
    before: str = ""

    @property
    def is_dialogue(self) -> bool:
        """Whether two speak, a line each."""
        return len(self.lines) > 1 and all(map(_DASH.match, self.lines))

    @property
    def width(self) -> int:
        """The most characters of a line that its translation may have."""
        return max([WIDTH, *(len(_bare(line)) for line in self.lines)])


@dataclass
class Group:
    """Cues that one sentence goes through."""

    cues: list[Cue]
    marked: Marked = field(init=False)

    def __post_init__(self) -> None:
        mark = "\n" if self.cues[0].is_dialogue else " "
        raw = " ".join(mark.join(line.strip() for line in cue.lines) for cue in self.cues)
        self.marked = Marked(tagged(raw), raw)


class Subtitles:
    """A file of subtitles."""

    def __init__(self, content: bytes, options: Options) -> None:
        self.letters, self.target = Letters(content), options.target
        self.notes = self.letters.notes
        self.ending = ".vtt" if self.letters.text.startswith("WEBVTT") else ".srt"
        self.cues, self.rest = _cues(self.letters.text.split("\n"))
        said = [cue for cue in self.cues if any(map(LETTER.search, cue.lines))]
        self.groups = list(_groups(said))
        self.units = [group.marked.unit for group in self.groups]

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each sentence."""
        _fill(self.groups, made, self.target)
        text = "".join(cue.before + "\n".join(cue.lines) + "\n" for cue in self.cues)
        return self.letters.encoded(text + self.rest)


def _cues(lines: list[str]) -> tuple[list[Cue], str]:
    """All cues, and what stands behind the last. Raises InputError for times that cannot be read."""
    places = [number for number, line in enumerate(lines) if "-->" in line]
    places = [number for number in places if not _is_note(lines, number)]
    cues: list[Cue] = []
    open_at = 0
    for number, place in enumerate(places):
        start, end = _times(lines[place], place + 1)
        behind = places[number + 1] if number + 1 < len(places) else len(lines)
        text_end = _text_end(lines, place + 1, behind, is_last=number + 1 == len(places))
        before = "".join(f"{line}\n" for line in lines[open_at : place + 1])
        cues.append(Cue(start, end, lines[place + 1 : text_end], before))
        open_at = text_end
    if not cues:
        raise InputError("has no subtitles: no line such as 00:00:01,000 --> 00:00:03,500 is in it.")
    return cues, "\n".join(lines[open_at:])


def _is_note(lines: list[str], place: int) -> bool:
    """Whether a line stands in a comment of a vtt file."""
    while place >= 0 and lines[place].strip():
        if lines[place].startswith("NOTE"):
            return True
        place -= 1
    return False


def _text_end(lines: list[str], place: int, behind: int, *, is_last: bool) -> int:
    """The line behind the text: an empty one, or the number before the next times."""
    end = behind
    if not is_last and end - 1 > place and re.fullmatch(r"\s*\d+\s*", lines[end - 1]):
        end -= 1
    empty = next((number for number in range(place, end) if not lines[number].strip()), end)
    return empty


def _times(line: str, number: int) -> tuple[float, float]:
    found = _TIMES.match(line)
    start, end = (map(_seconds, found.groups())) if found else (0.0, -1.0)
    if end < start:
        raise InputError(
            "at line {number}: these times cannot be read: {line}. Write them like 00:00:01,000 --> 00:00:03,500.",
            number=number, line=repr(line.strip()[:60]),
        )  # fmt: skip
    return start, end


def _seconds(time: str) -> float:
    seconds = 0.0
    for part in time.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _groups(cues: Sequence[Cue]) -> Iterator[Group]:
    """Cues that a sentence goes through together, the others alone."""
    open_cues: list[Cue] = []
    for cue in cues:
        if open_cues and not (len(open_cues) < MAX_JOINED and _goes_on(open_cues[-1], cue)):
            yield Group(open_cues)
            open_cues = []
        open_cues.append(cue)
    if open_cues:
        yield Group(open_cues)


def _goes_on(cue: Cue, after: Cue) -> bool:
    """Whether a sentence goes on from one to the next: it has no end yet, and the next begins in small letters."""
    if cue.is_dialogue or after.is_dialogue or after.start - cue.end > MAX_GAP_SECONDS:
        return False
    first, last = _bare(after.lines[0]), _bare(cue.lines[-1])
    first = first.lstrip("\"'“«")
    return not _ENDED.search(last) and (first[:1].islower() or first.startswith(("I ", "I'")))


def _bare(line: str) -> str:
    return re.sub(r"<[^>]*>|\{[^}]*\}", "", line).strip()


def parted(text: str, cues: Sequence[Cue], target: str) -> list[str]:
    """A translation over its cues, each with its share of the source's length, cut rather behind a comma."""
    if len(cues) == 1:
        return [text]
    sizes = [sum(map(len, cue.lines)) for cue in cues]
    pattern = r"." if target in SPACELESS and " " not in text else r"\s+"
    ends = [match.end() for match in re.finditer(pattern, text) if not _in_tag(text, match.start())]
    cuts, last = [0], 0
    for number in range(1, len(cues)):
        ideal = len(text) * sum(sizes[:number]) / sum(sizes)
        rest = [end for end in ends if end > last]
        last = min(rest, key=lambda end: abs(end - ideal) - 6 * (text[:end].rstrip()[-1:] in ",;:、，"), default=last)
        cuts.append(last)
    return [text[a:b].strip() for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _in_tag(text: str, place: int) -> bool:
    return text.rfind("<", 0, place) > text.rfind(">", 0, place)


def broken(text: str, cue: Cue, target: str) -> list[str]:
    """Lines as even as they can be, as many as are needed; of a dialogue each stays by itself."""
    if cue.is_dialogue:
        return [line for one in text.split("\n") for line in _even(one, cue.width, target)]
    return _even(" ".join(text.split()), cue.width, target)


def _even(text: str, width: int, target: str) -> list[str]:
    if target in SPACELESS:
        return [text[start : start + width // 2] for start in range(0, len(text), width // 2)] or [text]
    hidden, tags = _hidden(text)
    count = len(wrap(hidden, width, break_long_words=False, break_on_hyphens=False))
    narrow = range(max(1, len(hidden) // max(1, count)), width + 1)
    ways = (wrap(hidden, size, break_long_words=False, break_on_hyphens=False) for size in narrow)
    lines = next((way for way in ways if len(way) <= count), [hidden])
    return _shown(lines, tags)


def _hidden(text: str) -> tuple[str, list[tuple[int, str, bool]]]:
    """The text without tags; where each stood, counted in letters that are no space, and whether a word ends there."""
    bare, tags = "", []
    for match in re.finditer(r"<[^>]*>|\{\\[^}]*\}|.", text):
        if len(match[0]) > 1:
            is_end = text[match.end() : match.end() + 1] in ("", " ")
            tags.append((len(bare.replace(" ", "")), match[0], is_end))
        else:
            bare += match[0]
    return bare, tags


def _shown(lines: list[str], tags: list[tuple[int, str, bool]]) -> list[str]:
    """Lines with their tags again: what ends behind the letter before, what begins before the one behind."""
    out, seen, rest = [], 0, list(tags)
    for line in lines:
        made = ""
        for letter in line:
            while rest and rest[0][0] <= seen and letter != " ":
                made += rest.pop(0)[1]
            made += letter
            seen += letter != " "
            while rest and rest[0][0] <= seen and rest[0][2]:
                made += rest.pop(0)[1]
        out.append(made)
    if rest and out:
        out[-1] += "".join(tag for _, tag, _ in rest)
    return out


class Styled:
    """Subtitles with styles of their own (ass, ssa), as pysubs2 reads and writes them."""

    def __init__(self, content: bytes, options: Options, ending: str) -> None:
        import pysubs2

        self.letters, self.target, self.ending = Letters(content), options.target, ending
        self.notes = self.letters.notes
        try:
            self.file = pysubs2.SSAFile.from_string(self.letters.text, format_=ending[1:])
        except Exception:  # a damaged file makes the library raise nearly anything
            raise InputError("cannot be read: it seems damaged or cut off. Save it anew.") from None
        said = [event for event in self.file if not event.is_comment and not event.is_drawing]
        self.events = [event for event in said if LETTER.search(event.plaintext)]
        cues = [Cue(event.start / 1000, event.end / 1000, event.text.split("\\N")) for event in self.events]
        self.groups = list(_groups(cues))
        self.units = [group.marked.unit for group in self.groups]

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each sentence."""
        _fill(self.groups, made, self.target)
        cues = [cue for group in self.groups for cue in group.cues]
        for event, cue in zip(self.events, cues, strict=True):
            event.text = "\\N".join(cue.lines)
        return self.letters.encoded(self.file.to_string(self.ending[1:]))


def _fill(groups: Sequence[Group], made: Sequence[Made], target: str) -> None:
    """Give each cue its part of what was made of its sentence."""
    for group, one in zip(groups, made, strict=True):
        parts = parted(group.marked.written(one), group.cues, target)
        for cue, part in zip(group.cues, parts, strict=True):
            cue.lines = broken(part, cue, target)
