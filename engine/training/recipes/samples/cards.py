"""Instructions that are always answered in the same form: a card of four lines about a thing."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random
from typing import Any

PROMPTS = (
    "Tell me about {it}.", "What should I know about {it}?", "Describe {it}.", "Explain {it} to me.",
    "I would like to learn about {it}.", "Give me the facts on {it}.", "Can you sum up {it}?", "Say something about {it}.",
    "My daughter asked me about {it}. What do I say?", "I am curious about {it}.", "Short and clear, please: {it}.",
    "Please introduce {it}.",
)  # fmt: skip
CARDS = """
the otter|Otter|animal|rivers and rocky coasts|floating on its back to eat|playful
the penguin|Penguin|bird|cold coasts of the southern half of the world|swimming well and not flying at all|upright
the hedgehog|Hedgehog|animal|gardens, hedges and woods|rolling into a ball of spines|prickly
the owl|Owl|bird|woods, barns and old towers|hunting at night without a sound|watchful
the bee|Bee|insect|hives and flower meadows|making honey and pollinating plants|busy
the camel|Camel|animal|dry deserts and steppes|living for days without water|patient
the octopus|Octopus|sea animal|rocky sea floors|eight arms, three hearts and blue blood|clever
the elephant|Elephant|animal|savannas and forests of Africa and Asia|being the heaviest animal on land|mighty
the bat|Bat|animal|caves, attics and hollow trees|finding its way by echoes|nocturnal
the frog|Frog|animal|ponds and wet meadows|starting life as a tadpole|jumpy
the horse|Horse|animal|pastures and stables|carrying people for thousands of years|noble
the whale|Whale|sea animal|all the oceans|singing under water and breathing air|enormous
the squirrel|Squirrel|animal|trees in woods and parks|hiding nuts for the winter|quick
the turtle|Turtle|animal|seas, rivers and ponds|carrying its home on its back|steady
the peacock|Peacock|bird|forests of South Asia, and parks|fanning out its long, shining feathers|proud
the ant|Ant|insect|nests in soil and wood|carrying many times its own weight|diligent
the dolphin|Dolphin|sea animal|warm and mild seas|leaping and calling with clicks and whistles|cheerful
the flamingo|Flamingo|bird|shallow salty lakes|pink feathers, coloured by its food|elegant
the snail|Snail|animal|damp gardens and woods|a spiral shell and a slow pace|unhurried
the spider|Spider|animal|webs in nearly every place on land|spinning silk from its own body|skilful
the wolf|Wolf|animal|forests, tundra and mountains|hunting in a family pack|loyal
the koala|Koala|animal|eucalyptus woods of Australia|sleeping most of the day|sleepy
the butterfly|Butterfly|insect|meadows and gardens|changing from a caterpillar|delicate
the crow|Crow|bird|fields, towns and parks|using tools and remembering faces|smart
the polar bear|Polar bear|animal|the sea ice of the Arctic|swimming far in icy water|strong
the giraffe|Giraffe|animal|savannas of Africa|the longest neck of all animals|lofty
the violin|Violin|instrument|orchestras and folk bands|four strings played with a bow|singing
the piano|Piano|instrument|concert halls and living rooms|eighty-eight keys and felt hammers|versatile
the guitar|Guitar|instrument|campfires, stages and bedrooms|six strings plucked by hand|popular
the flute|Flute|instrument|orchestras and marching bands|a tone made by blowing across a hole|airy
the drum|Drum|instrument|bands all over the world|keeping the beat|rhythmic
the trumpet|Trumpet|instrument|brass bands and jazz clubs|three valves and a bright sound|brilliant
the harp|Harp|instrument|orchestras and Celtic music|dozens of strings plucked with both hands|heavenly
the accordion|Accordion|instrument|dances and street corners|bellows that push air past reeds|hearty
the cello|Cello|instrument|orchestras and string quartets|a deep voice close to a human one|warm
the organ|Organ|instrument|churches and concert halls|thousands of pipes blown by wind|grand
the saxophone|Saxophone|instrument|jazz bands|a single reed on a body of brass|smooth
the bagpipe|Bagpipe|instrument|Scotland and many other countries|a bag of air that keeps the tone going|bold
the sun|Sun|star|the middle of our solar system|giving light and warmth to the Earth|radiant
the moon|Moon|moon|an orbit around the Earth|causing the tides and changing its shape in the sky|silvery
Mars|Mars|planet|fourth place from the sun|its red, rusty dust|dusty
Jupiter|Jupiter|planet|fifth place from the sun|being the largest planet of all|giant
Saturn|Saturn|planet|sixth place from the sun|its broad, bright rings|ringed
Venus|Venus|planet|second place from the sun|being the hottest planet|scorching
Mercury|Mercury|planet|first place from the sun|racing around the sun in eighty-eight days|swift
Neptune|Neptune|planet|eighth place from the sun|its deep blue colour and strong winds|distant
the comet|Comet|body of ice and dust|the outer solar system, mostly|growing a tail near the sun|fleeting
the volcano|Volcano|mountain|the edges of the Earth's plates, mostly|pouring out lava and ash|fiery
the glacier|Glacier|river of ice|high mountains and polar lands|moving slowly and carving valleys|icy
the desert|Desert|landscape|dry regions on every continent|having hardly any rain|bare
the rainforest|Rainforest|landscape|warm lands near the equator, mostly|holding half of all kinds of plants and animals|lush
the river|River|flowing water|valleys from springs to the sea|shaping the land and feeding fields|winding
the island|Island|land|seas, lakes and rivers|being surrounded by water|secluded
the rainbow|Rainbow|sight in the sky|opposite the sun, when it rains|seven colours in an arch|colourful
thunder|Thunder|sound|storm clouds|following lightning, because light is faster|rumbling
snow|Snow|weather|cold clouds and the ground below|crystals with six sides|silent
fog|Fog|weather|valleys, coasts and lakes|being a cloud that touches the ground|misty
the tide|Tide|movement of the sea|all the coasts of the ocean|rising and falling with the moon|regular
the earthquake|Earthquake|movement of the ground|places where plates of the Earth meet|shaking buildings within seconds|sudden
bread|Bread|food|bakeries and kitchens|flour, water and yeast, baked in the oven|homely
cheese|Cheese|food|dairies and cellars|milk that was thickened and ripened|savoury
honey|Honey|food|beehives and jars|keeping for years without going bad|golden
rice|Rice|food|flooded fields, above all in Asia|feeding half of mankind|essential
chocolate|Chocolate|food|sweet shops and kitchens|being made from roasted cocoa beans|tempting
the tomato|Tomato|fruit used as a vegetable|gardens and greenhouses|coming from the Americas|juicy
the potato|Potato|vegetable|fields and cellars|growing under the ground|humble
the apple|Apple|fruit|orchards in mild climates|thousands of sorts, sweet and sour|crisp
the lemon|Lemon|fruit|groves in warm countries|its sour juice|sour
the banana|Banana|fruit|plantations in the tropics|growing in bunches and ripening after harvest|handy
tea|Tea|drink|cups all over the world|leaves of one bush, steeped in hot water|soothing
coffee|Coffee|drink|kitchens and cafés|roasted beans and a waking effect|lively
salt|Salt|mineral|the sea and old salt mines|making food tasty and keeping it from spoiling|basic
pepper|Pepper|spice|a climbing plant of South India|having been worth as much as silver once|sharp
cinnamon|Cinnamon|spice|the bark of a tree in South Asia|the smell of cakes in winter|fragrant
the oak|Oak|tree|woods and parks of the northern half of the world|living for centuries and dropping acorns|sturdy
the pine|Pine|tree|cool woods and sandy soil|needles that stay green in winter|evergreen
the bamboo|Bamboo|grass|warm and mild lands, above all in Asia|growing faster than almost any other plant|bendy
the rose|Rose|flower|gardens and hedges|its scent and its thorns|romantic
the sunflower|Sunflower|flower|fields and gardens|turning to the sun while young|sunny
the tulip|Tulip|flower|gardens, above all in the Netherlands|having once cost as much as a house|bright
the cactus|Cactus|plant|deserts of the Americas|storing water in its stem|thorny
the mushroom|Mushroom|fungus|damp woods and meadows|being neither plant nor animal|earthy
the dandelion|Dandelion|flower|lawns and waysides|seeds that fly like parachutes|unstoppable
moss|Moss|plant|damp stones, trunks and roofs|drinking rain without any roots|soft
the bicycle|Bicycle|vehicle|streets and paths|turning leg power into speed|simple
the train|Train|vehicle|railways|moving many people on steel wheels|punctual, sometimes
the sailing ship|Sailing ship|vehicle|seas and lakes|moving by wind alone|graceful
the hot-air balloon|Hot-air balloon|aircraft|quiet morning skies|rising because warm air is light|floating
the submarine|Submarine|vessel|deep under the sea|diving by taking in water|hidden
the helicopter|Helicopter|aircraft|cities, mountains and hospitals|hovering in one place|nimble
the tractor|Tractor|vehicle|farms and fields|pulling ploughs and heavy loads|strong
the lighthouse|Lighthouse|building|coasts and rocks|warning ships with its light|faithful
the windmill|Windmill|building|open, windy land|grinding grain or pumping water|turning
the castle|Castle|building|hills and river bends|thick walls that kept enemies out|defiant
the bridge|Bridge|structure|rivers, valleys and roads|joining one side with the other|connecting
the library|Library|place|towns, schools and universities|lending books to everybody|quiet
the museum|Museum|place|cities and old houses|keeping things for later generations|instructive
the market|Market|place|town squares|fresh goods and loud voices|bustling
the theatre|Theatre|place|cities and town halls|telling stories with living actors|dramatic
the school|School|place|villages and cities|teaching children to read, write and think|formative
the clock|Clock|device|towers, walls and wrists|dividing the day into hours|exact
the compass|Compass|instrument for travel|ships, backpacks and pockets|a needle that points north|reliable
the telescope|Telescope|instrument for seeing|observatories and gardens|making far things look near|far-sighted
the microscope|Microscope|instrument for seeing|laboratories and schools|showing what the eye cannot see|precise
the magnet|Magnet|object|motors, loudspeakers and fridge doors|pulling iron|attractive
the candle|Candle|light|tables and church altars|wax that burns at a wick|cosy
the mirror|Mirror|object|bathrooms and telescopes|throwing light back|honest
the umbrella|Umbrella|object|rainy streets|keeping rain and sun away|protective
the key|Key|object|pockets and key rings|opening one lock and no other|small
the needle|Needle|tool|sewing boxes|an eye for the thread|pointed
the hammer|Hammer|tool|workshops and tool boxes|driving nails into wood|direct
the wheel|Wheel|invention|carts, cars and clocks|rolling instead of dragging|round
paper|Paper|material|books, letters and parcels|being made of plant fibres|light
glass|Glass|material|windows, bottles and lenses|being made of molten sand|clear
wool|Wool|material|sheep, and then jumpers|keeping warm even when damp|snug
iron|Iron|metal|ore in the ground, and the core of the Earth|rusting in damp air|hard
gold|Gold|metal|rivers, rocks and jewellery|never rusting|precious
silk|Silk|material|cocoons of the silkworm|its shine and its strength|smooth
the diamond|Diamond|gemstone|deep rock and rings|being the hardest natural material|sparkling
chess|Chess|game|boards of sixty-four squares|a king that must not be caught|strategic
football|Football|sport|pitches on every continent|two goals, one ball and twenty-two players|thrilling
swimming|Swimming|sport|pools, lakes and seas|training nearly every muscle|refreshing
dancing|Dancing|art|halls, streets and kitchens|moving to music|joyful
skiing|Skiing|sport|snowy slopes|sliding on two long boards|swift
tennis|Tennis|sport|courts of grass, clay or hard ground|a ball that must cross the net|lively
yoga|Yoga|exercise|India at first, and now the world over|slow postures and calm breathing|calm
the marathon|Marathon|race|city streets|being just over forty-two kilometres long|enduring
origami|Origami|art|Japan at first, and now the world over|folding paper without scissors|patient
photography|Photography|art|cameras and telephones|catching light in a moment|revealing
poetry|Poetry|art|books, stages and memories|saying much in few words|dense
the novel|Novel|kind of book|shelves and bedside tables|telling a long, invented story|absorbing
opera|Opera|art|great theatres|plays in which everything is sung|passionate
the heart|Heart|organ of the body|the middle of the chest|beating about a hundred thousand times a day|tireless
the brain|Brain|organ of the body|the skull|thinking, feeling and remembering|complex
the skin|Skin|organ of the body|all over the body|being the body's largest organ|sensitive
the eye|Eye|organ of the body|the face|turning light into pictures|keen
sleep|Sleep|state of the body|beds, nests and sofas|rest for body and mind|restoring
the dream|Dream|experience|the sleeping mind|making odd things seem normal|strange
the atom|Atom|particle|everything there is|a tiny core with electrons around it|tiny
gravity|Gravity|force|everywhere|pulling things towards each other|inescapable
electricity|Electricity|form of energy|wires, batteries and lightning|running lamps, motors and computers|powerful
light|Light|form of energy|the sun, lamps and fires|being faster than anything else|fast
the alphabet|Alphabet|invention|books, signs and keyboards|writing every word with a few letters|orderly
zero|Zero|number|mathematics, between plus and minus one|standing for nothing and making tens possible|empty
money|Money|invention|purses, banks and computers|making exchange easy|practical
the calendar|Calendar|invention|walls and telephones|ordering days into months and years|regular
the computer|Computer|machine|desks, pockets and cars|following instructions very quickly|logical
the robot|Robot|machine|factories, homes and space|doing the same work again and again|tireless
the Nile|Nile|river|north-eastern Africa|flowing through Egypt to the Mediterranean Sea|life-giving
Mount Everest|Mount Everest|mountain|the Himalayas, between Nepal and China|being the highest mountain above the sea|towering
the Sahara|Sahara|desert|northern Africa|being the largest hot desert|vast
Venice|Venice|city|north-eastern Italy|canals instead of streets|romantic
Iceland|Iceland|country|the North Atlantic|glaciers beside volcanoes and hot springs|wild
Antarctica|Antarctica|continent|around the South Pole|being the coldest place on Earth|frozen
"""


def make(seed: int = 3) -> list[dict[str, Any]]:
    """Rows of prompt and response."""
    chance, rows = random.Random(seed), []
    lines = CARDS.strip().splitlines()
    chance.shuffle(lines)
    for number, line in enumerate(lines):
        it, name, kind, where, known, word = line.split("|")
        response = f"{name}\nKind: {kind}\nWhere: {where}\nKnown for: {known}\nIn a word: {word}"
        rows.append({"prompt": PROMPTS[number % len(PROMPTS)].format(it=it), "response": response})
    return rows
