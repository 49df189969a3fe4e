"""The app that a tutorial shows: the pipeline is loaded when the page is, and the text is streamed.

Run with the folder of the weights: `streamlit run benchmarks/apps/transformers_app.py -- FOLDER`.
"""

import sys
from threading import Thread
from typing import Any

import streamlit as st
from transformers import TextIteratorStreamer, pipeline


@st.cache_resource
def get_pipeline(folder: str) -> Any:
    return pipeline("text-generation", model=folder)


pipe = get_pipeline(sys.argv[1])
st.title("Write")
prompt = st.text_area("Prompt", "In a small town by the sea")
if st.button("Write"):
    streamer = TextIteratorStreamer(pipe.tokenizer, skip_prompt=True)
    Thread(target=pipe, args=(prompt,), kwargs={"streamer": streamer, "max_new_tokens": 64}).start()
    st.write_stream(streamer)
