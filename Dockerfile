# Parlance on a CPU: docker build -t parlance . && docker run -p 8501:8501 -v parlance-cache:/cache parlance
# With the embedded weights inside the image: docker build --build-arg WITH_WEIGHTS=1 -t parlance .
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PARLANCE_CACHE_FOLDER=/cache PARLANCE_RUNS_FOLDER=/cache/runs PORT=8501

RUN useradd --create-home --uid 1000 parlance && mkdir /cache && chown parlance /cache
WORKDIR /app
COPY requirements.txt .
RUN pip install --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 && pip install -r requirements.txt
COPY --chown=parlance . .
USER parlance

ARG WITH_WEIGHTS=0
RUN if [ "$WITH_WEIGHTS" = 1 ]; then python -m engine.store; fi

VOLUME /cache
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"
CMD streamlit run app.py --server.port "$PORT" --server.address 0.0.0.0 --server.headless true
