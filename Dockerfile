# Serves the newest of runs/ to whoever has a key of keys/keys.toml:
#   docker build -t trousseau .
#   docker run -p 127.0.0.1:8000:8000 --user $(id -u) -v ./runs:/data/runs -v ./keys:/data/keys -v ./state:/data/state trousseau
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE train.py trousseau.py ./
COPY kg kg
COPY encoders encoders
COPY fusion fusion
COPY eval eval
COPY serve serve
# The CPU's torch: the other one brings gigabytes of CUDA.
RUN python -m venv /opt/trousseau \
 && /opt/trousseau/bin/pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu ".[serve,onnx]"

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 trousseau && mkdir -p /data/state && chown -R trousseau /data
COPY --from=build /opt/trousseau /opt/trousseau
USER trousseau
WORKDIR /data
ENV PATH=/opt/trousseau/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "serve", "--host", "0.0.0.0", "--runs", "/data/runs", "--keys", "/data/keys/keys.toml", "--state", "/data/state/events.sqlite"]
