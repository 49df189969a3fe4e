"""Markdown: headings, lists, quotes, tables, links and emphasis stay; code, addresses and what is no text are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from engine.documents.rewriting import Made, Options
from engine.documents.rewriting.markup import MARK, Marked, Piece, Signs
from engine.documents.rewriting.plain import LETTER, Letters, short

SPACELESS = ("zh", "ja", "th")
"""Languages that are not wrapped at spaces."""
_FENCE = re.compile(r"\s{0,3}(?:[-*+]\s+|\d+[.)]\s+|>\s?)*(```+|~~~+|\$\$)")
_PREFIX = re.compile(r"\s*(?:>\s?)*\s*(?:#{1,6}\s+|(?:[-*+]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?)*(?:\[\^[^\]\s]+\]:\s+)?")
_SPECIAL = re.compile(
    r"\s*(?:>|#{1,6}\s|[-*+]\s|\d{1,9}[.)]\s|\||<|\[[^\]]+\]:\s|(?:=+|-+|\*\*\*|___)\s*$|```|~~~|\$\$)"
)
_KEPT_LINE = re.compile(r"\s{0,3}\[(?!\^)[^\]]+\]:\s|\s*(?:=+|-{2,}|[-*_](?:\s*[-*_]){2,})\s*$")
_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_CELL = re.compile(r"((?:\\.|[^\\|])*)(\||$)")
_RAW_HTML = re.compile(r"\s*<(!--|(?:script|style|pre|svg|math)\b)", re.IGNORECASE)
_TARGET = r"\((?:[^()\s]|\([^()]*\))*(?:\s+[\"'][^\n]*?[\"'])?\)"
_INLINE = re.compile(
    rf"""
    (?P<plain>\\.|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)|<[a-z][^<>\n]*>)
    |(?P<mark>!\[[^\]\n]*\](?:{_TARGET}|\[[^\]]*\])|\[\^[^\]\s]+\]|\$(?=\S)[^$\n]*[\\^_=][^$\n]*(?<=\S)\$(?!\d))
    |\[(?P<words>(?:[^\[\]\\]|\\.|!?\[[^\[\]]*\](?:{_TARGET})?)+)\](?P<target>{_TARGET}|\[[^\[\]]*\])
    |(?P<strong>\*\*\*|\*\*|~~|(?<!\w)___|(?<!\w)__)(?=\S)(?P<bold>.+?)(?<=\S)(?P=strong)(?![*~])(?!(?<=_)\w)
    |(?P<light>\*|(?<!\w)_)(?=[^\s*_])(?P<italic>.+?)(?<=[^\s*])(?<!\*)(?P=light)(?!\*)(?!(?<=_)\w)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """Text of one or more lines, with what stands before the first and before the others, and behind the last."""

    marked: Marked
    before: str = ""
    between: str = ""
    width: int = 0
    """Of the longest of several lines; 0 of a single one."""
    is_cell: bool = False


class Markdown:
    """A Markdown file."""

    ending = ".md"

    def __init__(self, content: bytes, options: Options) -> None:
        self.letters, self.target = Letters(content), options.target
        self.notes = self.letters.notes
        self.parts = list(_parts(self.letters.text.split("\n")))
        self.units = [part.marked.unit for part in self.parts if isinstance(part, Block)]

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each block."""
        ready = iter(made)
        text = "".join(part if isinstance(part, str) else self._block(part, next(ready)) for part in self.parts)
        return self.letters.encoded(text.removesuffix("\n"))

    def _block(self, block: Block, made: Made) -> str:
        one_line = " ".join(made.text.split("\n"))
        words = block.marked.written(replace(made, text=one_line))
        if block.is_cell:
            return re.sub(r"(?<!\\)\|", r"\\|", words)
        if not block.width or self.target in SPACELESS:
            return block.before + words
        options = {"break_long_words": False, "break_on_hyphens": False}
        room = {"initial_indent": block.before, "subsequent_indent": block.between}
        lines = wrap(words, block.width, **options, **room)  # type: ignore[arg-type]
        is_safe = not any(_SPECIAL.match(line[len(block.between) :]) for line in lines[1:])
        return "\n".join(lines) if is_safe else block.before + words


def _parts(lines: list[str]) -> Iterator[str | Block]:
    """Blocks of text and all that is kept between, which joined with what ends each line are the file."""
    place = 0
    while place < len(lines):
        end = _kept_until(lines, place)
        if end > place:
            yield "".join(f"{line}\n" for line in lines[place:end])
            place = end
        elif "|" in lines[place] and place + 1 < len(lines) and _is_rule(lines[place + 1]):
            while place < len(lines) and "|" in lines[place]:
                yield from _row(lines[place])
                place += 1
        else:
            end = _paragraph_end(lines, place)
            yield from _paragraph(lines[place:end])
            place = end


def _is_rule(line: str) -> bool:
    return "-" in line and "|" in line and bool(_RULE.match(line))


def _kept_until(lines: list[str], place: int) -> int:
    """The line behind what is no text: code, front matter, comments, addresses of links, rules, empty lines."""
    line = lines[place]
    if fence := _FENCE.match(line):
        return _behind(lines, place + 1, fence[1]) if line.count(fence[1]) == 1 else place + 1
    if place == 0 and line.rstrip() == "---":
        return _behind(lines, 1, "---")
    if html := _RAW_HTML.match(line):
        name = html[1].lower()
        closing = "-->" if name == "!--" else f"</{name}>"
        return place + 1 if closing in line.lower() else _behind(lines, place + 1, closing)
    is_code = re.match(r"(?: {4}|\t)\s*(?![-*+]\s|\d+[.)]\s)\S", line) and (place == 0 or not lines[place - 1].strip())
    if is_code and not _is_in_list(lines, place):
        end = place
        while end < len(lines) and (re.match(r" {4}|\t", lines[end]) or not lines[end].strip()):
            end += 1
        return end
    return place + 1 if _KEPT_LINE.match(line) or not LETTER.search(line) else place


def _behind(lines: list[str], place: int, closing: str) -> int:
    """The line behind the one that closes; the file's end where none does."""
    while place < len(lines) and closing not in lines[place]:
        place += 1
    return min(place + 1, len(lines))


def _is_in_list(lines: list[str], place: int) -> bool:
    """Whether what stands further in belongs to a list's item above it."""
    for line in reversed(lines[:place]):
        if line.strip():
            if re.match(r"\s*(?:[-*+]|\d{1,9}[.)])\s", line):
                return True
            if not line.startswith((" ", "\t")):
                return False
    return False


def _paragraph_end(lines: list[str], place: int) -> int:
    """The line behind a paragraph's last: it goes on until something else begins, or a line breaks on purpose."""
    is_alone = re.match(r"\s*(?:>\s?)*\s*#{1,6}\s|\s*<", lines[place])
    quote = re.match(r"\s*(?:>\s?)*", lines[place])
    end = place + 1
    while not is_alone and end < len(lines) and not _breaks(lines[end - 1]):
        rest = lines[end]
        if quote and quote[0].strip() and rest.startswith(quote[0].rstrip()):
            rest = rest[len(quote[0].rstrip()) :]
        if not rest.strip() or _SPECIAL.match(rest) or not LETTER.search(rest):
            break
        end += 1
    return end


def _breaks(line: str) -> bool:
    return line.endswith(("  ", "\\")) or bool(re.search(r"<br\s*/?>\s*$", line, re.IGNORECASE))


def _paragraph(lines: list[str]) -> Iterator[str | Block]:
    first = _PREFIX.match(lines[0])
    before = first[0] if first else ""
    quote = re.match(r"\s*(?:>\s?)+", before)
    between = ""
    if len(lines) > 1:
        own = re.match(r"\s*", lines[1].removeprefix(quote[0].rstrip()) if quote else lines[1])
        between = quote[0] if quote else own[0] if own else ""
    bare = [lines[0][len(before) :], *(_without_quote(line, quote) for line in lines[1:])]
    tail = re.search(r"(?:\s+#+)?(?:\s+|\\|\s*<br\s*/?>\s*)?$", bare[-1], re.IGNORECASE)
    end = tail[0] if tail else ""
    bare[-1] = bare[-1][: len(bare[-1]) - len(end)]
    pieces = list(short(" ".join(line.strip() for line in bare)))
    width = max(map(len, lines)) if len(lines) > 1 else 0
    for number, piece in enumerate(pieces):
        yield Block(Marked(list(inline(piece)), piece), "" if number else before, between, width)
    yield f"{end}\n"


def _without_quote(line: str, quote: re.Match[str] | None) -> str:
    return re.sub(r"^\s*(?:>\s?)*", "", line) if quote else line


def _row(line: str) -> Iterator[str | Block]:
    """Cells of a table's row, and the lines between them."""
    for cell in _CELL.finditer(line):
        words = cell[1].strip()
        if not words or not LETTER.search(words):
            yield cell[1]
        else:
            yield cell[1][: len(cell[1]) - len(cell[1].lstrip())]
            yield Block(Marked(list(inline(words)), words), is_cell=True)
            yield cell[1][len(cell[1].rstrip()) :]
        yield cell[2]
        if cell.end() == len(line):
            break
    yield "\n"


def inline(text: str, around: Signs = ()) -> Iterator[Piece]:
    """Text as pieces in the signs of emphasis and of links; pictures, notes and formulas stand for themselves."""
    place = 0
    for match in _INLINE.finditer(text):
        if match["plain"]:
            continue
        if place < match.start():
            yield text[place : match.start()], around
        place = match.end()
        if match["mark"]:
            yield match["mark"], MARK
        elif match["words"]:
            yield from inline(match["words"], (*around, ("[", f"]{match['target']}")))
        else:
            sign = match["strong"] or match["light"]
            yield from inline(match["bold"] or match["italic"], (*around, (sign, sign)))
    if place < len(text):
        yield text[place:], around
