# Parlance: docker build -t parlance . && docker run -p 127.0.0.1:8501:8501 -v parlance-data:/data parlance
# With the embedded weights inside the image: --build-arg WITH_WEIGHTS=1. For a GPU of NVIDIA: --build-arg TORCH=cuda,
# and `docker run --gpus all`.
# The base by its digest (3.11.16 on Debian trixie, for all its architectures). A newer one is found with
# `docker buildx imagetools inspect python:3.11-slim` and given with --build-arg BASE=...
ARG BASE=python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7
FROM ${BASE}

# xllamacpp and torch compute with OpenMP, whose library the slim image leaves out. Its version is the base's to say.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore HOME=/data \
    PARLANCE_CACHE_FOLDER=/data/cache PARLANCE_RUNS_FOLDER=/data/runs PARLANCE_STORAGE_FOLDER=/data/visits \
    PARLANCE_LOG=json PORT=8501
# Inside, every address is the container's own; whom it reaches is said with `docker run -p`.
ENV PARLANCE_IS_NETWORK_TRUSTED=1

RUN useradd --no-create-home --home-dir /data --uid 1000 parlance && install -d -o parlance /data
WORKDIR /app
COPY requirements-image*.txt ./
# Each file by its sha256. The small CPU build of torch has an index of its own, the CUDA build is PyPI's.
ARG TORCH=cpu
RUN pip install --no-deps --require-hashes -r requirements-image.txt \
    && if [ "$TORCH" = cpu ]; then export PIP_INDEX_URL=https://download.pytorch.org/whl/cpu; fi \
    && pip install --no-deps --require-hashes -r "requirements-image-$TORCH.txt" && pip check
# The code is root's: who serves it can read it and change nothing of it.
COPY . .
RUN chmod -R a+rX,go-w . && python -m compileall -q app.py engine pages
USER 1000

ARG WITH_WEIGHTS=0
RUN if [ "$WITH_WEIGHTS" = 1 ]; then python -m engine.catalogue; fi

VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
# exec: the server itself gets the signal to stop.
CMD ["sh", "-c", "exec streamlit run app.py --server.port \"$PORT\" --server.address 0.0.0.0 --server.headless true"]
