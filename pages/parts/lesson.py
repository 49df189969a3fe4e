"""The lesson: a step each for the ideas of the article, in plain words, with a live control and a question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from engine.explain import VIEWS
from engine.explain.tokens import BYTES, SIDE_BY_SIDE
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.language import _, labelled
from pages.parts.looking import is_here
from pages.parts.views import show_attention, show_chain, show_costs, show_lens, show_next, show_tokens

ON = "look"
SMALL, GEMMA = "smollm2-135m-instruct", "gemma-3-270m"
KINDS = {
    SMALL: Text("Decoder: looks back"),
    "minilm-l6": Text("BERT: looks both ways"),
    "firefox-en-pt": Text("Translator: looks across"),
}
DECODERS = {SMALL: Text("SmolLM2 135M"), GEMMA: Text("Gemma 3 270M")}


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
    with st.form(f"step-{number}", border=False):
        key = f"text{number}"
        text = st.text_area(_("Text"), step.text, key=key, height=90, bind="query-params")
        pressed = st.form_submit_button(_("Look inside"), type="primary", icon=":material/visibility:")
    if pressed:
        st.query_params[ON] = "yes"
    if st.query_params.get(ON) == "yes" and text.strip():
        step.draw(text)
    else:
        st.caption(_("The picture appears here."))
    with st.container(border=True):
        st.markdown(f":material/help: **{_('Question')}** · {_(step.question)}")
        with st.expander(_("Answer"), key=f"answer-{number}"):
            st.markdown(_(step.answer))


def _tokens(text: str) -> None:
    ready = [id for id in SIDE_BY_SIDE if id == BYTES or house().store.availability(id).state == "ready"]
    show_tokens(text, ready, "step-tokens")
    st.markdown(_("**What a language costs.** The same sentence, from the Universal Declaration of Human Rights:"))
    show_costs(ready, "step-tokens")


def _decoder(key: str) -> str | None:
    """The decoder that the step looks into; None where it is not here."""
    model_id: str = st.segmented_control(
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
            _("What if? The same with one word changed"), "The cat sat on the piano because it was tired.",
            key="other", bind="query-params",
        )  # fmt: skip
        show_chain({_("Text"): text, _("With the change"): other}, model_id, "chain")


def _attention(text: str) -> None:
    model_id = st.segmented_control(
        _("Model"), list(KINDS), default=SMALL, key="model6", bind="query-params", required=True,
        format_func=labelled(KINDS, "model6"),
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


def _lens(text: str) -> None:
    if model_id := _decoder("model7"):
        show_lens(text, model_id, "lens")


STEPS = {
    1: Step(
        Text("Text becomes pieces"),
        Text(
            "A model reads no letters and no words. A **tokenizer** cuts the text into pieces from a fixed list, the "
            "**vocabulary**, and each piece has a number, its **id**. Frequent words are one piece, rare ones several. "
            "Five tokenizers cut your text below. The small number behind each piece is its id."
        ),
        Text(
            "Type a name, a long number, or a sentence in another language. Who pays more pieces, and why "
            "does it matter?"
        ),
        Text(
            "Models are paid, and limited, by the piece. A tokenizer made from English text has few pieces for other "
            "scripts: the same sentence can cost a Hindi reader several times as much, takes longer, and leaves "
            "less room. "
            "Numbers are cut at odd places, one reason why small models calculate badly."
        ),
        "The unbelievable café cost 1234567 euros 🙂", _tokens,
    ),
    2: Step(
        Text("The next word"),
        Text(
            "All that a language model does is this: after a text it gives every piece of its vocabulary a score, the "
            "**logit**. Scores are divided by the **temperature** T and made into probabilities that add up to 100 % "
            "(**softmax**). Then filters drop the unlikely ones, and one of those that are kept is drawn by lot. "
            "Move the sliders and look at the bars."
        ),
        Text("Which temperature makes the model always say the same? And what do you need to make it say nonsense?"),
        Text(
            "At T = 0, or with top-k = 1, only the likeliest is kept: the same each time. At T = 2 with no "
            "filter the bars "
            "become alike, and thousands of unlikely pieces together take a large part of the lot: soon one is "
            "drawn that "
            "makes no sense. top-p and min-p cut off that long tail."
        ),
        "The capital of France is", _next,
    ),
    3: Step(
        Text("The chain rule"),
        Text(
            "How likely is a whole text? The probability of the first word, times that of the second after the "
            "first, times "
            "that of the third after both: P(w₁ … wₙ) = ∏ P(wᵢ | w₁ … wᵢ₋₁). Products become tiny, so one adds up "
            "**surprise** instead: a piece of probability ½ surprises by 1 bit, one of ¼ by 2 bits. "
            "**Perplexity** is among "
            "how many equally likely pieces the model seems to choose at each place. **Bits per byte** is the "
            "surprise over "
            "the text's length, and can be compared between models with different pieces."
        ),
        Text("Change one word to make the sentence strange. Where does the surprise rise: only at that word?"),
        Text(
            "Mostly at the changed word, and often a little behind it, since what follows is judged by what "
            "came before. "
            "A model that was trained on sentences like yours is surprised less: pre-training is nothing but to "
            "make this "
            "sum small over very much text."
        ),
        "The cat sat on the mat because it was tired.", _chain,
    ),
    6: Step(
        Text("Attention"),
        Text(
            "How does a piece know about the others? In each **layer**, several **heads** let every piece look "
            "at others "
            "and take over a part of what they hold: hᵢ = Attention(hᵢ₋₁, hᵢ₋₁, hᵢ₋₁) + hᵢ₋₁. How much it looks "
            "where is a "
            "number, and each row adds up to 100 %. A **decoder**, which writes, may only look back. A "
            "**BERT**, which judges, "
            "looks both ways. A **translator** looks across, from its words to those of the source. Point at a "
            "piece to see "
            "where it looks."
        ),
        Text("Compare head 0, the average, with single heads of the same layer. What does the average hide?"),
        Text(
            "Single heads have clear habits: one looks at the piece before, one at the same word earlier, very "
            "many at the "
            "first piece, which is where a head looks that has nothing to do. The average smears them into a "
            "grey that no "
            "head has. And attention shows where a model looks, not why it decides."
        ),
        "The cat sat on the mat because it was tired.", _attention,
    ),
    7: Step(
        Text("Layer by layer"),
        Text(
            "Each layer only adds something to what is there: the **residual stream** runs from the embedding "
            "at the bottom "
            "to the answer at the top. If the model had to speak after each layer, what would it say? This is the "
            "**logit lens**. Read each column from the bottom upwards: it stands over a piece, and shows the "
            "guess for the "
            "next one. The bars tell by how much each layer changes the stream."
        ),
        Text("In which layer does the right word appear first, and where does the model become sure?"),
        Text(
            "Low layers name pieces that look alike or mean nothing, the middle ones the right kind of word, "
            "and often only "
            "the last third names the word itself. The last row is exactly what the model says."
        ),
        "The capital of France is the city of", _lens,
    ),
}  # fmt: skip
