"""Code outside backticks, which stays, and prose that looks a little like it, which does not."""

from __future__ import annotations

import time

import pytest

from engine.applications.code import is_code
from engine.applications.literals import keep_aside
from engine.applications.segments import split

CODE = """
for i in range(10):
for key, value in items.items():
for x in xs:
while True:
while n > 0:
while (n > 0) {
if (a<b)
for (let i = 0; i < 3; i++)
if x == 1:
if not ready:
if (a < b) {
elif x in seen_before:
else:
try:
except ValueError as error:
with open("a.txt") as file:
return x
return x + 1
return f(x);
raise ValueError("no")
import os
import numpy as np
import React from 'react';
from os import path
def f(x):
async def main():
class Dog(Animal):
class Dog:
class Dog {
function greet(name) {
const f = (x) => x + 1;
const x = 5
let name = "Ana";
var total = 0
int x = 3;
int main() {
public static void main(String[] args) {
String s = "hello";
#include <stdio.h>
#!/bin/sh
using namespace std;
std::cout << x;
} else {
}
});
x = 1
x += 1
self.name = name
names[0] = 'a'
total: int = 3
print('a')
print("Hello, world")
console.log(x);
foo.bar(baz(1), 2)
System.out.println("Hello");
SELECT * FROM t WHERE x = 1;
SELECT name, age FROM people
select * from users
select id from users where id = 1;
INSERT INTO t VALUES (1, 2);
UPDATE t SET x = 1
WHERE x = 1
FROM t
ORDER BY name
CREATE TABLE t (id INT);
npm install
npm install --save react
pip install parlance
git commit -m "first"
git push origin main
docker run -it ubuntu
sudo apt install vim
cd ~/projects
ls -la
python main.py
curl https://x.org
rm -rf build
chmod +x run.sh
$ make all
>>> 1 + 1
make test
{"a": 1}
"key": 12,
font-size: 12px;
color: #fff;
i++;
import os  # for files
@app.route("/")
E = mc
[x for x in xs if x > 1]
"""
PROSE = """
Hello {name}
- the first item;
the first item;
Il fait beau ;
Bonjour à tous;
For the record:
For people in need:
If you want to come:
while you were away
While we wait:
Return home
Return to sender.
with love
With best wishes:
Let us go
let me know
Use the other door;
Public opinion (see below)
Note(s)
Freund(in)
file(s);
Import duties are high.
From here to there
from Paris to London
FROM PARIS TO LONDON
WHERE ARE YOU
SELECT YOUR SEAT
Select one from the list
Select your seat from the map;
make sure you come
Make it work
go home
go get some milk
git is a tool
npm install is how you add packages.
cat and dog
Echo of time
find the answer
Liebe = alles was zählt im Leben
The price = what you are willing to pay
class is over
class Dog
Class:
try again
Try:
else
continue
pass
case closed
Note: the following;
siehe: unten;
Deposit: 1700 EUR
$ 5 for lunch
Ana (my sister) came;
We met (see above);
default is fine
Do: read, write
public holiday
static electricity
final exam
int the end
String quartet
double trouble;
long time no see;
Yield to traffic
Match of the day (live)
assert yourself
Delete from list
Update: all is well
Switch off the light
Match 3 - Spain/France
if and only if
if you have 3+ items
for him/her
with and/or without sugar
return 50% off
for e.g. you
if e.g. you want:
for example.org visitors:
return
If time > money, then go
As we said -- twice -- it rains;
"""


def test_code_is_told_from_prose() -> None:
    assert [line for line in CODE.strip().split("\n") if not is_code(line)] == []
    assert [line for line in PROSE.strip().split("\n") if is_code(line)] == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [("Run this:\nfor i in range(10):\n    total is up\n\n    say it\nThen stop.", ["Run this:", "Then stop."]),
     ("for i in range(10):\nSELECT * FROM t WHERE x = 1;\nimport os\nnpm install", []),
     ("- the first item;\n- the second item;\nHello {name}", ["the first item;", "the second item;", "Hello {name}"])],
)  # fmt: skip
def test_lines_of_code_are_not_asked_for(text: str, asked: list[str]) -> None:
    segments = split(text)
    assert [one.text for one in segments if one.text] == asked
    assert "".join(one.before + one.text for one in segments) == text


@pytest.mark.parametrize(
    ("sentence", "read"),
    [("Run npm install to begin.", "Run X1 to begin."), ("Call print(x) first.", "Call X1 first."),
     ("Type docker run -it ubuntu:24 now.", "Type X1 now."), ("Your friend(s) came.", "Your friend(s) came.")],
)  # fmt: skip
def test_commands_and_calls_in_a_sentence_are_kept_aside(sentence: str, read: str) -> None:
    assert keep_aside(sentence, "en", "fr", is_small=False).text == read


def test_hostile_lines_take_no_time() -> None:
    started = time.perf_counter()
    for line in ("a" * 300, "a.a" * 99 + "(", "=1;" * 99 + "?", "if " + "a(" * 140, "[a for b in " * 25):
        is_code(line)
    assert time.perf_counter() - started < 1
