# Parlance on a CPU: docker build -t parlance . && docker run -p 127.0.0.1:8501:8501 -v parlance-data:/data parlance
# With the embedded weights inside the image: docker build --build-arg WITH_WEIGHTS=1 -t parlance .
FROM python:3.11-slim

# xllamacpp and torch compute with OpenMP, whose library the slim image leaves out.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PARLANCE_CACHE_FOLDER=/data/cache PARLANCE_RUNS_FOLDER=/data/runs PARLANCE_STORAGE_FOLDER=/data/visits PORT=8501
# Inside, every address is the container's own; whom it reaches is said with `docker run -p`.
ENV PARLANCE_IS_NETWORK_TRUSTED=1

RUN useradd --create-home --uid 1000 parlance && install -d -o parlance /data
WORKDIR /app
COPY requirements.txt .
# The small CPU build of torch first; the exact version must agree with requirements.txt, which then finds it there.
RUN pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)" \
    && pip install -r requirements.txt
COPY --chown=parlance . .
USER parlance

ARG WITH_WEIGHTS=0
RUN if [ "$WITH_WEIGHTS" = 1 ]; then python -m engine.catalogue; fi

VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
# exec: the server itself gets the signal to stop.
CMD ["sh", "-c", "exec streamlit run app.py --server.port \"$PORT\" --server.address 0.0.0.0 --server.headless true"]
