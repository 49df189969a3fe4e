"""Which lines of a text are code and nothing else, and commands in a sentence: they stay, also without backticks."""

from __future__ import annotations

import re

PLURALS = r"\((?:s|es|e|en|n|in|innen|r|a|as|os)\)"
"""What prose writes behind a word without a space: file(s), Freund(in)."""
_CALL = rf"\w+(?:(?:\.|::|->)\w+)*(?!{PLURALS})\((?:[^()]|\([^()]*\))*\)"
COMMAND = (
    r"\b(?:sudo )?(?:npm|npx|yarn|pnpm|pip3?|pipx|uv|conda|poetry|cargo|git|docker|kubectl|brew|apt|apt-get|dnf|dotnet"
    r"|helm|terraform) (?:install|uninstall|run|add|commit|push|pull|clone|build|start|stop|test|init|update|upgrade"
    r"|remove|ci|exec|checkout|status|log|diff|fetch|merge|rebase|up|down|ps|create|publish|apply|get|clean|sync)\b"
)
"""The beginning of what is typed at a prompt, which in prose stands for itself too."""
_SIGN = r"(?:[=!<>]=|\s[<>+*/%-]\s|\w[\[(]|\w\.\w+\(|\bnot \w+:$|\bis (?:not )?None|\w_\w)"
_STATEMENT = re.compile(
    r"\$ (?=\D).+|(?:>>>|\.\.\.) .+|\[.+ for \w+ in .+\]"
    r"|import [\w.*{}, ]+(?: as \w+)?(?: from .+)?;?|from [\w.]+ import .+|#(?:!/|include\b|define\b|if(?:n?def)?\b).*"
    r"|(?:async )?def \w+\(.*|class \w+(?:\(.*\))?(?:[\w ,<>]*\{|:)|function\b ?\w*\(.*|@\w[\w.]*\(.*\)"
    r"|(?:else|try|finally|do|except(?: [\w.(), ]+)?(?: as \w+)?) ?:"
    rf"|(?:for|while|(?:else )?if|elif|with|match|case)\b(?=.*{_SIGN}).*:"
    r"|(?:for|while|(?:else )?if|switch|catch) ?\(.*\)"
    rf"|(?:return|assert|await|yield|raise|throw|del)\b(?=.*{_SIGN}).*[\w\])}}\"'];?"
    r"|for \w{1,2}(?:, ?\w{1,2})* in \w+:|while (?:True|true|1):|(?:return|yield) \w{1,2};?|raise [A-Z]\w*Error"
    r"|(?:if|elif|while) \w{1,2}:"
    r"|(?:const|let|var|final|static|public|private|protected)\b.*(?:\s=\s.*|\w\(.*|\{)"
    r"|(?:unsigned |const )?"
    r"(?:(?:int|char|bool|boolean|void|String|size_t)[*&]* \w+|(?:float|double|long|auto) \w+(?=.*[=(])).*[;{]"
    r"|(?:package|using|use|namespace) (?:namespace )?[\w.:*{}]+;|(?:break|continue|pass|return);"
    r"|[}\])]+[;,]?|\} ?(?:else|catch|finally|while)\b.*|(?!.*\w\. ).*\S\s?\{|\{.*[:;].*\}[;,]?"
    rf"|(?:await |new |!)?{_CALL}(?:\.{_CALL})*[;,]?"
    r'|"[^"]+"\s*:\s*(?:[\[{]|-?[\d.]+|true|false|null|"[^" ]*"|[\[{].*[\]}]),?'
    r"|[a-z]+(?:-[a-z]+)+\s*:\s*[^;:]+;|[a-z]+\s*:\s*(?:#\w{3,8}|[\d.]+(?:px|r?em|%|vh|vw)?\b[^;:]*|none|auto);"
)
"""A statement, a definition, a call, or what only opens or closes a block; of the languages that people paste most."""
_QUERY = re.compile(
    r"(?:SELECT\b.+\bFROM\b|INSERT INTO \w+|UPDATE \w+ SET\b|DELETE FROM \w+"
    r"|(?:CREATE|ALTER|DROP) (?:TABLE|INDEX|VIEW)\b|(?:LEFT |RIGHT |INNER )?JOIN \w+ ON\b|(?:ORDER|GROUP) BY \w+).*"
    r"|(?:FROM|WHERE|AND|SET|VALUES|HAVING)\b.*(?:=|[<>]|\(|\bLIKE\b|\bIN\b|\bIS NULL).*|FROM [a-z_]\w*;?"
    r"|(?i:select (?:\*|[\w.]+(?:, ?[\w.]+)*) from [\w.]+(?:;|\s+where\b.*[=<>].*)|select \* from [\w.]+)"
)
_ASSIGNMENT = re.compile(
    r"(?:[\w$.]+|\w+\[[^\]]*\])(?:\s?:\s?[\w\[\], .|]+)?\s?(?::=|[-+*/|&]?=|==)\s?(?P<value>[^=\s].*)"
)
_ENDED = re.compile(rf".*(?:=|->|::|\+\+|--|\w\[|{_CALL}|\w\.\w+\().*;")
_SHELL = re.compile(
    rf"{COMMAND}(?! (?:is|are|was|will|can|does|do|to|the|and|or|it|this)\b).*"
    r"|make (?:all|install|test|build|clean|check)|go (?:run|build|test|mod|fmt|get)(?: \S*[./]\S*)*"
    r"|(?:python3?|node|ruby|bash|sh|java|cat|cd|ls|cp|mv|rm|mkdir|chmod|chown|curl|wget|ssh|scp|echo|grep|tar|make|find)"
    r" (?:--?\w|\S*[./~$\"'=\\+]\w).*"
)
_COMMENT = re.compile(r"\s+(?:#|//|--)\s.*$")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")
_PROSE_WORD = re.compile(r"(?<![\w.])[^\W\d_]{2,}(?![\w.(\[])")
_SENTENCE = re.compile(r".*[^\W\d_]{2}[.!?…]$")
MAX_LINE = 300
"""Characters; a longer line is not looked at."""
MAX_PROSE = 3
"""Words in a row of words without signs, from which on the right side of an equals sign is prose."""


def is_code(line: str) -> bool:
    """Whether a line is code and nothing else."""
    bare = _COMMENT.sub("", line.strip())
    if not bare or len(line) > MAX_LINE or (_SENTENCE.match(bare) and not bare.startswith(("$ ", ">>> "))):
        return False
    if any(kind.fullmatch(bare) for kind in (_STATEMENT, _QUERY, _SHELL, _ENDED)):
        return True
    assigned = _ASSIGNMENT.fullmatch(bare)
    return assigned is not None and len(_PROSE_WORD.findall(_QUOTED.sub("", assigned["value"]))) < MAX_PROSE


def opens_block(line: str) -> bool:
    """Whether lines that are further in than this line of code belong to it."""
    return _COMMENT.sub("", line.rstrip()).endswith((":", "{", "(", "[", ",", "\\"))
