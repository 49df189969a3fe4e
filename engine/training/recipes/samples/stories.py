"""Short stories in simple words for pretraining: ten plots, each sentence with several wordings."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random

from engine.training.recipes.samples.growing import grow, words

GIRLS = words("Mia, Lily, Nora, Ada, Ruby, Tess, Ivy, Rosa, Ella, Zoe, Hana, Molly, Clara, Poppy, Anna")
BOYS = words("Tom, Ben, Max, Leo, Sam, Finn, Jack, Otto, Theo, Hugo, Paul, Arlo, Emil, Noah, Will")
ANIMALS = words(
    "rabbit, fox, mouse, duck, bear, hedgehog, squirrel, owl, frog, turtle, lamb, kitten, puppy, goat, badger, otter"
)
PLACES = words(
    "in a small village, in a house by the sea, near a big forest, in a red house on a hill, by a quiet lake, "
    "in a town with a tall tower, on a farm, at the edge of a green wood, next to an old mill, in a narrow street"
)
PLOTS = {
    "lost": """{name} had a {colour} {thing}. {He} took it everywhere[, even to bed| {he} went|, rain or shine].
One {day}, the {thing} was gone! {name} [felt very sad|began to cry|did not know what to do].
{He} looked under the bed, but it was not there. {He} looked [in the garden|behind the door|in the kitchen], but it
was not there [either|too].
Then {pal} the {animal} came by. “Why are you sad?” asked {pal}. “I lost my {thing},” said {name}.
“[Let us look together|I will help you|Do not worry, we will find it],” said {pal}.
They walked to the {spot}. And what did they see? The {colour} {thing} was lying [under a leaf|in the grass|on a stone]!
{name} [hugged|thanked] {pal} and [laughed|smiled]. “[You are a good friend|Thank you, dear friend],” {he} said.
""",
    "share": """One {day}, {name} had [a big|a warm|a sweet] {food} for lunch. It smelled so good!
{name} sat down [under a tree|on a bench|by the {spot}] and wanted to eat.
Then {he} saw {pal} the {animal}. {pal} looked [tired and hungry|small and hungry|thin and cold].
“Do you want some of my {food}?” asked {name}. “[Oh yes, please|Yes, please]!” said {pal}.
So {name} cut the {food} in two, and they ate together.
It was only half a {food}, but it tasted [twice as good|better than a whole one|better than ever].
The next day, {pal} came back with [a basket of berries|a bag of nuts|a jar of honey]. “Now I want to share with you,”
said {pal}. [They ate until they were full|They sat in the sun and ate it all|And so they had lunch together again].
""",
    "fear": """{name} was afraid of {fear}. When it came, {he} [hid under the table|closed {his} eyes|ran to {his} room].
One {day}, {pal} the {animal} said, “[I used to be afraid too|Everybody is afraid of something]. Shall I
show you [what to do|a trick|what helps me]?” {name} nodded.
“Take my hand,” said {pal}, “and count to ten.” So {name} held on and counted. One, two, three, four, five.
{His} heart beat fast. Six, seven, eight, nine, ten. And nothing bad happened!
“[I did it|I can do it|I am not so afraid now]!” said {name}. From that day on, {he} always counted to ten.
[And each time it was a little easier|And soon {fear} was not so bad at all|And {pal} was very proud of {him}].
""",
    "build": """{name} wanted to build a {build}. {He} took [some wood|a box|paper and sticks] and [a lot of|some] string,
and worked all morning. But when {he} tried the {build}, it [broke|fell apart|did not work].
{name} was angry and kicked a stone. “I will never do it,” {he} said.
{pal} the {animal} looked at the {build}. “[Maybe it needs a stronger knot|Maybe it is too heavy|Maybe one part is
missing],” said {pal}. “Let us try again.”
They tried a second time, and it was better. They tried a third time, and it [worked|held]!
The {colour} {build} was [the best in the village|not perfect, but it was theirs|the finest they had ever seen].
{name} learned that [you must try more than once|two heads are better than one|good things take time].
""",
    "rain": """It was a {day}, and {name} and {pal} the {animal} wanted to have a picnic at the {spot}.
They packed [a {food}|bread and cheese|apples and a {food}] and a blanket. But as soon as they sat down,
[dark clouds came|it began to rain|a big drop fell on {name}'s nose]. “Oh no!” said {name}. “Our picnic is
[ruined|over|all wet].”
“Not at all,” said {pal}. They ran [home|to the barn|into an old shed] and put the blanket on the floor.
The rain went tap, tap, tap on the roof, and they ate and told [stories|jokes|each other secrets].
[When the sun came out, there was a rainbow|In the end, they did not want the rain to stop|It was the best picnic of
the year]. “[Let us do this again|Rain is not so bad],” said {name}.
""",
    "truth": """{name} was playing with a ball in the [house|kitchen|hall]. {He} threw it high, and crash! {His} {elder}'s
{pot} fell down and broke. Nobody had seen it.
“[I could say the cat did it|I could hide the pieces],” thought {name}. But {his} tummy [hurt|felt bad].
So {he} went to {his} {elder} and said, “I broke your {pot}. I am sorry.”
{His} {elder} was quiet for a moment. Then {elder_he} said, “[I am sad about the {pot}, but I am glad you told the
truth|Thank you for telling me. That was brave].”
Together they [swept the floor|glued the pieces|picked up the pieces]. The next day, {name} made a new {pot} out of
clay. It was [a little crooked|blue and a bit too small], and {his} {elder} loved it [very much|most of all].
""",
    "garden": """In spring, {name} found a tiny seed. “What will you be?” {he} asked. The seed did not answer.
{name} put it into the ground [behind the house|by the wall|near the {spot}] and gave it water every day.
One week went by, and nothing happened. Two weeks went by, and nothing happened.
“It is [asleep|lazy|gone],” said {name}. “[Wait a little longer|Be patient],” said {pal} the {animal}.
Then, one {day}, there was a little green leaf! It grew and grew. By summer it was [as tall as {name}|taller than the
door], and it had {colour} flowers.
[The bees came to visit|Everybody stopped to look at it|{pal} slept in its shade]. “You only needed time,” said {name}.
""",
    "sound": """One {day}, {name} heard a strange sound near the {spot}. “[Peep, peep|Hoo, hoo|Squeak, squeak]!”
{name} went closer and looked [behind a bush|under a log|into the tall grass]. There sat a very small {animal}.
“[Are you lost|What is wrong], little one?” asked {name}. The {animal} [nodded|began to cry|looked at {him} with big
eyes]. “I cannot find my mother,” it said. “My name is {pal}.”
{name} gave {pal} [some milk|a bit of {food}|a warm scarf], and then they went to look for the mother. They walked [over
the bridge|up the hill|through the wood], and there she was! She was so [happy|glad] that she [danced|laughed and cried].
After that, {pal} often came to [play|visit|say hello], and {name} was never [lonely|bored] again.
""",
    "race": """Every summer there was a race to the {spot}. {name} could run very fast, and {he} wanted to win.
“Ready, steady, go!” {name} ran [like the wind|as fast as {he} could]. Soon {he} was [first|far ahead].
But then {he} saw {pal} the {animal} sitting by the road. {pal} had hurt a foot.
{name} looked at the road, and then at {pal}. {He} [stopped|turned around] and said, “Climb on my back.”
They came in last. But all the people [clapped and cheered|were waiting for them with cake|shouted hooray].
“You did not win the race,” said {pal}, “but you won [a friend|my heart].” And {name} [smiled all evening|thought that
this was better than a medal|was happier than the winner].
""",
    "present": """Tomorrow was {his} {elder}'s birthday, and {name} had no present. {He} had no money, only
[a button|three shells|a {colour} ribbon]. {He} thought and thought.
“What does your {elder} like best?” asked {pal} the {animal}. “[Music|Flowers|Stories|Sitting in the sun],” said {name}.
Then {name} had an idea! All day long {he} [painted|sewed|cut and glued] in secret, and {pal} helped.
In the morning {name} gave {his} {elder} a small {colour} box. Inside was [a picture of the two of them|a tiny paper
garden|a song, written on a card].
“[This is the best present I ever had,|How did you know?|I will keep it forever,]” said {his} {elder}, and they [had cake and
tea|danced in the kitchen|sat together until the stars came out].
""",
}
LISTS = {
    "colour": words("red, blue, green, yellow, golden, silver, purple, orange, white, brown"),
    "thing": words("hat, scarf, ball, book, drum, kite, bell, spoon, doll, boot, key, ring, whistle, lamp"),
    "spot": words("river, pond, old bridge, big oak tree, field, beach, well, mill, orchard, meadow, hill, stream"),
    "food": words("cake, pie, loaf of bread, bun, pancake, apple, pear, bowl of soup, piece of cheese, cookie"),
    "fear": words(
        "thunder, the dark, the storm, the night wind, the big dog next door, the shadow on the wall, the old clock's bang"
    ),
    "build": words("boat, kite, tree house, cart, bird house, bridge, tower, swing, raft, windmill"),
    "pot": words("vase, bowl, cup, jug, plate, teapot"),
    "day": words("morning, day, sunny day, cold day, Sunday, windy day, evening, autumn day, summer morning"),
    "elder": words("grandmother, grandfather, mother, father, aunt, uncle"),
}
PALS = words("Pip, Bobo, Dot, Nibbles, Rumi, Tilly, Moss, Bean, Wick, Pepper, Oona, Button, Fern, Socks, Juno, Biscuit")
OPENINGS = (
    "Once upon a time, there was a [little|small|kind|curious] {child} named {name}. {He} lived {place}.",
    "Once there was a {child} called {name}, who lived {place}.",
    "{name} was a [little|cheerful|quiet|brave|clever] {child} who lived {place}.",
    "There once lived a [kind|young|small] {child} {place}. {His} name was {name}.",
)
ENDINGS = (
    "",
    "",
    "The end.",
    "And that was a good day.",
    "That night, {name} slept very well.",
    "And they lived happily.",
)


def make(count: int = 460, seed: int = 1) -> str:
    """Stories parted by empty lines."""
    chance = random.Random(seed)
    names = list(PLOTS)
    return "\n\n".join(_story(chance, names[number % len(names)]) for number in range(count)) + "\n"


def _story(chance: random.Random, plot: str) -> str:
    is_girl = chance.random() < 0.5
    he, him, his, child = ("she", "her", "her", "girl") if is_girl else ("he", "him", "his", "boy")
    slots = {name: chance.choice(choices) for name, choices in LISTS.items()}
    slots |= {"name": chance.choice(GIRLS if is_girl else BOYS), "pal": chance.choice(PALS)}
    slots |= {"animal": chance.choice(ANIMALS), "place": chance.choice(PLACES), "child": child}
    slots |= {"he": he, "him": him, "his": his, "He": he.title(), "His": his.title()}
    slots["elder_he"] = "she" if slots["elder"] in ("grandmother", "mother", "aunt") else "he"
    text = " ".join((chance.choice(OPENINGS), " ".join(PLOTS[plot].split()), chance.choice(ENDINGS)))
    return grow(chance, text, slots)
