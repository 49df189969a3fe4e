"""Words of the lesson, each in a sentence, for who is sent to a later step by its link."""

from __future__ import annotations

from engine.messages import Text

GLOSSARY = (
    (Text("Token"), Text("a piece of text, a word or a part of one; models read and write nothing else.")),
    (Text("Id"), Text("the number of a token in the vocabulary.")),
    (Text("Vocabulary"), Text("all tokens that a model knows.")),
    (Text("Tokenizer"), Text("what cuts a text into tokens.")),
    (Text("Weights"), Text("the numbers in a model that were learned; a model of 270M has 270 million of them.")),
    (Text("Logit"), Text("the score that a model gives a token as the next one; any number, higher is likelier.")),
    (Text("Softmax"), Text("makes probabilities of scores: all above 0, together 100 %.")),
    (Text("Temperature"), Text("what the scores are divided by before: low favours the likeliest, high levels them.")),
    (Text("Seed"), Text("the number from which a lot follows: the same seed draws the same.")),
    (Text("Top-k, top-p, min-p"), Text("filters that drop unlikely tokens before one is drawn.")),
    (Text("Bit"), Text("the unit of surprise: a token of probability ½ surprises by 1 bit, of ¼ by 2, of ⅛ by 3.")),
    (Text("Byte"), Text("the unit in which text is stored: a letter is one, an accented letter two.")),
    (Text("Perplexity"), Text("among how many equally likely tokens the model seems to choose at each place.")),
    (Text("N-gram"), Text("some letters or words in a row, n of them, that are counted.")),
    (Text("Network"), Text("what calculates with numbers that were learned; every model here is one.")),
    (Text("Training"), Text("moving a network's numbers so that it foretells better, a little at a time.")),
    (Text("Embedding"), Text("a list of numbers that stands for a token or a text; also called its vector.")),
    (Text("Cosine"), Text("how alike two lists of numbers point: 1 is the same direction.")),
    (Text("Layer"), Text("one of the parts of a model that work one after the other, each with its own weights.")),
    (Text("Head"), Text("one of several parts of a layer that look at other tokens, each in its own way.")),
    (Text("Attention"), Text("how much a token looks at each of the others, in shares that add up to 100 %.")),
    (Text("Residual stream"), Text("what a token holds on its way through the layers; each layer adds to it.")),
    (Text("Dot (·)"), Text("in pictures a space: a token that begins with one begins a word.")),
    (Text("Loss"), Text("the surprise that training makes smaller.")),
    (Text("Decoder, encoder"), Text("a decoder goes on with a text and looks back; an encoder reads a whole text.")),
    (Text("BERT"), Text("a kind of encoder, made to judge texts rather than to write.")),
    (Text("bfloat16, q4_1"), Text("how exactly weights are stored: in 16 bits each, in about 5.")),
)  # fmt: skip
