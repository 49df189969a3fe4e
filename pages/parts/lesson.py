"""The lesson: a step each for the ideas of the article, in plain words, with a live control and a question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from engine.catalogue.models import Model
from engine.explain import VIEWS
from engine.explain.chain import ChainRequest
from engine.explain.counting import STORY
from engine.explain.meaning import ANALOGIES, SENTENCES, WORDS
from engine.explain.tokens import BYTES, SIDE_BY_SIDE
from engine.messages import Text
from pages.parts.attention import show_attention
from pages.parts.engine import house
from pages.parts.glossary import GLOSSARY
from pages.parts.language import _, labelled
from pages.parts.looking import go_on, is_here, look
from pages.parts.phases import show_phases
from pages.parts.picker import title_of
from pages.parts.questions import show_questions
from pages.parts.text import plain, show_text
from pages.parts.views import (
    ask_analogies,
    show_chain,
    show_costs,
    show_counting,
    show_lens,
    show_meaning,
    show_next,
    show_tokens,
)

ON = "look"
SMALL, GEMMA, JUDGE = "smollm2-135m-instruct", "gemma-3-270m", "sentiment-e5"
ATTENTION_MODELS = {
    SMALL: Text("Decoder: looks back"),
    JUDGE: Text("BERT: looks both ways"),
    "firefox-en-pt": Text("Translator: looks across"),
}
DECODERS = {SMALL: Text("SmolLM2 135M"), GEMMA: Text("Gemma 3 270M")}

ENCODERS = {"multilingual-e5-small": Text("E5: a hundred languages"), "minilm-l6": Text("MiniLM: English")}


@dataclass(frozen=True)
class Step:
    """One step: what it says, what it asks and the answer, the text it begins with, and what it draws."""

    title: Text
    words: Text
    question: Text
    answer: Text
    text: str
    draw: Callable[[str], None]


def show_step(number: int) -> None:
    """The step with its text, its picture and its question."""
    step = STEPS[number]
    st.subheader(f"{number}. {_(step.title)}", anchor=False)
    st.markdown(_(step.words))
    text = _ask_text(number, step.text) if step.text else ""
    if not step.text or (st.query_params.get(ON) == "yes" and text.strip()):
        step.draw(text)
    else:
        st.caption(_("The picture appears here."))
    with st.container(border=True):
        st.markdown(f":material/help: **{_('Question')}** · {_(step.question)}")
        with st.expander(_("Answer"), key=f"answer-{number}"):
            st.markdown(_(step.answer))
        with st.expander(_("Words of the lesson"), icon=":material/dictionary:", key=f"words-{number}"):
            st.markdown("\n".join(f"- **{_(word)}**: {_(meaning)}" for word, meaning in GLOSSARY))


def _ask_text(number: int, start: str) -> str:
    """The text to look at, each time a button is pressed."""
    with st.form(f"step-{number}", border=False):
        text: str = st.text_area(_("Text"), start, key=f"text{number}", height=90, bind="query-params")
        if st.form_submit_button(_("Look inside"), type="primary", icon=":material/visibility:"):
            st.query_params[ON] = "yes"
    return text


def _tokens(text: str) -> None:
    """By each tokenizer that is here."""
    ready = [id for id in SIDE_BY_SIDE if id == BYTES or house().store.availability(id).state == "ready"]
    show_tokens(text, ready, "step-tokens")
    st.markdown(_("**What a language costs.** The same sentence, from the Universal Declaration of Human Rights:"))
    show_costs(ready, "step-tokens")


def _decoder(key: str) -> str | None:
    """The decoder that the step looks into; None where it is not here."""
    model_id: str = st.pills(
        _("Model"), list(DECODERS), default=SMALL, key=key, bind="query-params", required=True,
        format_func=labelled(DECODERS, key),
    )  # fmt: skip
    return model_id if is_here(VIEWS["next"], model_id) else None


def _next(text: str) -> None:
    if model_id := _decoder("model2"):
        show_next(text, model_id, "next")


def _chain(text: str) -> None:
    if model_id := _decoder("model3"):
        other = st.text_input(
            _("What if? The same with one word changed"), "The cat sang on the mat because it was tired.",
            key="other", bind="query-params",
        )  # fmt: skip
        show_chain({_("Text"): text, _("With the change"): other}, model_id, "chain")


def _attention(text: str) -> None:
    model_id = st.pills(
        _("Model"), list(ATTENTION_MODELS), default=SMALL, key="model6", bind="query-params", required=True,
        format_func=labelled(ATTENTION_MODELS, "model6"),
    )  # fmt: skip
    if not is_here(VIEWS["attention"], model_id):
        return
    if model_id != "firefox-en-pt":
        show_attention(text, model_id, "attention")
        return
    translation = st.text_input(
        _("A translation of it into Portuguese"), "O gato sentou-se no tapete porque estava cansado.",
        key="translation6", bind="query-params",
    )  # fmt: skip
    if translation.strip():
        show_attention(translation, model_id, "attention", text)


def _counting(text: str) -> None:
    prompt = st.text_input(
        _("Beginning"), "In the morning the children came out of the school", key="prompt4", bind="query-params"
    )
    order = st.slider(_("Letters that the table looks back"), 1, 8, 4, key="order", bind="query-params")
    st.markdown("**" + _("A table that counts") + "**")
    bits = show_counting(text, prompt, order, "counting")
    rows = [{_("Who"): _("Counting, {order} letters back", order=order), _("Bits per byte"): bits and f"{bits:.2f}"}]
    own = [one.id for one in house().catalogue.models.values() if _is_from_nothing(one)][:1]
    for model_id in (*own, GEMMA):
        if is_here(VIEWS["chain"], model_id) and (written := go_on(model_id, prompt)):
            st.markdown(f"**{plain(title_of(model_id))}**")
            show_text(prompt + written)
            found = look("chain", ChainRequest(prompt, model=model_id))
            bits = found and found.bits_per_byte
            rows.append({_("Who"): title_of(model_id), _("Bits per byte"): bits and f"{bits:.2f}"})
    st.table([{name: plain(cell or "") for name, cell in row.items()} for row in rows])
    if not own:
        st.caption(
            _("A tiny model of your own stands here too, once it was trained from nothing and put to use there.")
        )
        st.page_link("finetune.py", label=_("Train one on Fine-tune"), icon=":material/model_training:")


def _phases(text: str) -> None:
    show_phases()
    show_questions()


def _is_from_nothing(model: Model) -> bool:
    """A language model that a run made without a base."""
    return model.is_language_model and model.source.kind == "local" and not (model.base_id or model.is_embedded)


def _meaning(text: str) -> None:
    model_id = st.pills(
        _("Model"), list(ENCODERS), default=next(iter(ENCODERS)), key="model5", bind="query-params", required=True,
        format_func=labelled(ENCODERS, "model5"),
    )  # fmt: skip
    asked = ask_analogies("analogies", ANALOGIES)
    if is_here(VIEWS["meaning"], model_id):
        show_meaning(text, model_id, "meaning", asked)


def _lens(text: str) -> None:
    if model_id := _decoder("model7"):
        show_lens(text, model_id, "lens")


STEPS = {
    1: Step(
        Text("Text becomes pieces"),
        Text(
            "A model reads no letters. A **tokenizer** cuts the text into pieces, words and parts of words, from a "
            "fixed list, the **vocabulary**; a piece is called a **token**, and each has a number, its **id**, the "
            "small one behind it below. The list was made from much text: what was frequent there is one piece; what "
            "was rare, such as a name, a long number or another language, is cut into several. It matters, since a "
            "model takes only so many pieces at once, needs time for each, and whoever sells its answers counts them. "
            "Marks such as *<bos>*, *</s>*, *[CLS]* and *[SEP]* are added at the beginning and end, and not counted "
            "below. Some tokenizers make capitals small and drop accents: their model never sees them. A text is "
            "stored in **bytes**; the row of bytes shows it cut as far as can be. Where a list has no piece for a "
            "sign, perhaps an emoji, it takes the sign's bytes: then what you see as one takes several pieces, each "
            "with an id, and a line says which. A byte is written as *<0xF0>*, and a space that is a piece as a dot "
            "(·). A tokenizer that does not even have bytes gives every sign that it lacks one and the same id, "
            "**unknown** (*[UNK]*), and what you typed is lost: few pieces are no gain there."
        ),
        Text(
            "Type a name, a long number, or a sentence in another language. Which of them take more pieces, and why "
            "does it matter?"
        ),
        Text(
            "Models are paid, and limited, by the piece. A tokenizer made from English text has few pieces for other "
            "scripts: the same sentence can cost a Hindi reader several times as much, takes longer, and leaves less "
            "room. Numbers are cut at odd places, one reason why small models calculate badly."
        ),
        "The unbelievable café cost 1234567 euros 🙂", _tokens,
    ),
    2: Step(
        Text("The next word"),
        Text(
            "All that a language model does is this: after a text it gives every piece of its vocabulary a score, the "
            "**logit**. Scores are divided by the **temperature** T and made into probabilities that add up to 100 % "
            "(**softmax**): a T below 1 makes the likely ones likelier, above 1 all more alike, and T = 0 stands for "
            "always taking the likeliest. Then filters drop unlikely ones: **top-k** keeps the k likeliest; **top-p** "
            "keeps the likeliest until these together have that probability; **min-p** drops each whose probability "
            "is less than that share of the likeliest one's. One of those that are kept is drawn by lot. A filter at "
            "0, or top-p at 1, drops nothing. Raise T and look at the bars: what the likely pieces lose goes to "
            "thousands of others, most of which make no sense here; then let a filter cut these off again. Now press "
            "*Draw a word*: the piece that the lot falls on is appended to the text, and the next one is drawn after "
            "that. This is how every text of a model is written. The **seed** is the number from which the lot "
            "follows: change it, and the lot falls otherwise."
        ),
        Text(
            "Which temperature makes the model say the same whatever the seed is? And how must temperature and "
            "filters stand so that it says nonsense?"
        ),
        Text(
            "At T = 0, or with top-k = 1, only the likeliest is kept: the same each time. At T = 2 with no filter the "
            "bars become alike, and thousands of unlikely pieces together take a large part of the lot: soon one is "
            "drawn that makes no sense. top-p and min-p cut off that long tail."
        ),
        "The capital of France is", _next,
    ),
    3: Step(
        Text("The chain rule"),
        Text(
            "How likely is a whole text? The probability of the first word, times that of the second after the first, "
            "times that of the third after both: P(w₁ … wₙ) = ∏ P(wᵢ | w₁ … wᵢ₋₁), where ∏ multiplies all of them and "
            "| stands for *after*. So each piece is judged by all that stands before it. Products become tiny, so one "
            "counts in halvings and adds these up: a piece of probability ½ **surprises** by 1 bit, one of ¼ by 2 "
            "bits. **Perplexity** says the same as a number of choices: as if the model chose among so many equally "
            "likely pieces at each place. **Bits per byte** is the surprise over the text's length (a letter is a "
            "byte, an accented one two), and can be compared between models with different pieces. The dotted line "
            "adds up from piece to piece. Where a model has no mark for the beginning, the first piece has nothing "
            "before it: it is left out, with its letters. And surprise is not strangeness: it tells what this model "
            "expected. Many things might follow *The*, so that even a cat surprises; after *The cat* fewer are left."
        ),
        Text(
            "Change one word to make the sentence strange (Enter takes it). Where does the surprise change: only at "
            "that word? Why?"
        ),
        Text(
            "Mostly at the changed word, and often a little behind it, since what follows is judged by what came "
            "before. A model that was trained on sentences like yours is surprised less: pre-training is nothing but "
            "to make this sum small over very much text."
        ),
        "The cat sat on the mat because it was tired.", _chain,
    ),
    4: Step(
        Text("Counting before networks"),
        Text(
            "Before there were networks one counted: how often did *e* follow *th*? Such a table counts **n-grams**, "
            "n letters in a row, and needs no training but counting. Yours is made of your text below, and tried on "
            "the beginning of a sentence that does not stand in it. The further the table looks back, the fewer of "
            "that sentence's places it has ever seen; where it has seen none, it looks back less. And what it has "
            "seen once or twice it takes for nearly certain, so that any other letter surprises it all the more. Then "
            "the same beginning goes to **networks**, which calculate with numbers that were learned, their "
            "**weights**: a tiny one, if one was trained here, and Gemma with 270 million. **Bits per byte** tells "
            "how surprised each one is by your beginning, not by what it writes: lower is better, and 8 would be to "
            "know nothing: there are 256 bytes, and to halve 256 eight times leaves one."
        ),
        Text(
            "Let the table look back 1, 4 and 8 letters, and watch what it writes and its bits per byte. Why is more "
            "not always better?"
        ),
        Text(
            "One letter back gives letter salad. Four give words. With eight the table only says your own text again, "
            "and knows nothing about a beginning it has never seen. A network need not have seen the very letters: it "
            "learns what words have in common, and so is surprised less by what is new."
        ),
        STORY, _counting,
    ),
    5: Step(
        Text("Meaning as numbers"),
        Text(
            "Inside the model, a piece is no id any more but a **vector**: a list of hundreds of numbers, the "
            "**embedding**; a sentence has the mean of those of its pieces. What is used alike gets lists that are "
            "alike; the **cosine** says how much: 1 is the same direction. Compare cosines with each other rather "
            "than with 0, since the vectors of one model all point a little alike: the multilingual one hardly ever "
            "gives less than 0.75, so that a few hundredths tell much. Your words and sentences, one a line, are "
            "drawn on a plane that keeps as much of their differences as a plane can (**PCA**, which turns the many "
            "numbers to their two most telling directions). That is only a part, as the line above the picture says: "
            "what lies close there need not be closest, so believe the cosines. Close means *used alike*, not *true "
            "alike*. Then analogies: from *man* to *king* is a step; the same step from *woman* should lead to "
            "*queen*, of all words that stand here."
        ),
        Text(
            "The last three lines say the same in two languages, and the opposite. Which two have the highest cosine, "
            "and how near is the opposite? Would you have wanted that? Try a sentence of your own."
        ),
        Text(
            "The multilingual model puts translations side by side. But a sentence and its opposite lie close as "
            "well: they speak of the same things. Close means *used alike*, not *true alike*. Analogies succeed for a "
            "few well known pairs and fail for many others, and what people wrote about men and women comes out too: "
            "that is where bias comes from."
        ),
        f"{WORDS}\n{SENTENCES}", _meaning,
    ),
    6: Step(
        Text("Attention"),
        Text(
            "How does a piece know about the others? A model is a pile of **layers**, and in each of them several "
            "**heads** let every piece look at others and take over a part of what they hold: hᵢ = Attention(hᵢ₋₁, "
            "hᵢ₋₁, hᵢ₋₁) + hᵢ₋₁. Here hᵢ is what all pieces hold after layer i. What they held before, hᵢ₋₁, stands "
            "in the brackets three times since it serves three ends: who looks, what is looked at, and what is taken "
            "over; what was held before is kept (+), and something is added. How much a piece looks where is its "
            "**attention weight**, a share: those of a piece add up to 100 %. (The learned numbers of step 4 are "
            "called weights too, and are others.) Each head shares in a way of its own, a habit; head 0 below is no "
            "head but the average of all. A **decoder**, which writes, may only look at itself and back (*causal*). A "
            "**BERT**, which judges texts on the page Sentiment, looks both ways. A **translator** looks across, from "
            "its words to those of the source. Point at a square of the matrix, or a line, to read who looks where; "
            "the table of habits below has all heads."
        ),
        Text(
            "Compare head 0, the average, with single heads of the same layer, by the sentence above the pictures. "
            "What does the average hide?"
        ),
        Text(
            "Single heads have clear habits: one looks at the piece before, one at the same word earlier, very many "
            "at the first piece, which is where a head looks that has nothing to do. The average smears them into a "
            "grey that no head has. And attention shows where a model looks, not why it decides."
        ),
        "The cat sat on the mat because it was tired.", _attention,
    ),
    7: Step(
        Text("Layer by layer"),
        Text(
            "Each layer adds something to what is there: the **residual stream**, the numbers that a piece holds, "
            "runs from the embedding at the bottom (layer 0) to the answer at the top. If the model had to speak "
            "after each layer, what would it say? This is the **logit lens**: it turns what is there after a layer "
            "into scores (logits) for the next piece, as the model does after its last one. Read each column from the "
            "bottom upwards: it stands over a piece, and shows which piece would be the likeliest next one after that "
            "layer. Layer 0 holds nothing but the piece itself, so it often says that; and lower layers are not made "
            "to be read so, which is why odd pieces stand there, some with a high probability. The darker the cell, "
            "the higher the probability. The bars below tell by how much each layer changes the stream, in percent of "
            "what was there before it."
        ),
        Text(
            "After which layer is the right word the likeliest for the first time, and from which layer on does it "
            "keep a probability above 50 %?"
        ),
        Text(
            "Low layers name pieces that look alike or mean nothing, the middle ones the right kind of word, and "
            "often only the last third names the word itself. Its probability then rises, not always evenly; the "
            "sentence above the picture tells both layers for the end of your text. The last row is exactly what the "
            "model says."
        ),
        "The capital of France is the city of", _lens,
    ),
    8: Step(
        Text("Pre-training and fine-tuning"),
        Text(
            "A model learns in two phases. **Pre-training**: from nothing, it reads very much text; after every few "
            "texts its weights, the numbers in it, are moved a little, so that its surprise (the third step of the "
            "lesson: how unlikely it found what came) becomes smaller. Each such move is a **step of training**. "
            "**Fine-tuning**: a model that has been pre-trained goes on like this with a little text of one kind, a "
            "task. On the page Fine-tune both can be done; a tiny model from nothing is pre-training in small. Where "
            "a run is finished, it stands here: what it made of one beginning before, in the middle of and after its "
            "training, and the curve of its surprise, the **loss**: the lower, the better it foretells."
        ),
        Text(
            "Can I train one on my own computer? Does it understand? Can it be creative? Answer in your own words, "
            "with what you saw above."
        ),
        Text(
            "The article's three questions. **On my own computer**: a tiny one, and the fine-tuning of a small one, "
            "yes: look at the run's time and at what it cost. A large one costs billions of times as much. "
            "**Understanding**: ask step 2 to go on from *17 + 25 =* or *The opposite of hot is not*; what was never "
            "written like this often comes out wrong, since the model knows what is said and not what is true. "
            "**Creativity**: it draws what is possible by lot. A higher temperature gives what nobody has written, "
            "and soon what nobody understands; what is good in it, a reader has to choose."
        ),
        "", _phases,
    ),
}  # fmt: skip
