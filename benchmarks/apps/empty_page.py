"""The least page with a slider: what Streamlit itself takes for a rerun."""

import streamlit as st

st.title("Empty")
st.slider("Number", 0, 100, 50)
