# syntax=docker/dockerfile:1
# One image for the gateway and the worker: docker run hookmill gateway | worker
FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /src
COPY requirements.lock ./
# uv comes from the lock too, hash-checked by pip.
RUN awk '/^[a-z0-9]/ { mine = /^uv==/ } mine' requirements.lock > uv.lock \
    && pip install --no-cache-dir --no-deps --require-hashes -r uv.lock \
    && python -m venv --without-pip /opt/hookmill
COPY pyproject.toml README.md LICENSE hookmill.py ./
COPY gateway gateway
COPY actors actors
COPY otel otel
# The lock as constraints: only what the project needs at run time, in the locked versions, with the locked hashes.
RUN uv pip install --no-cache --python /opt/hookmill/bin/python \
        --constraints requirements.lock --build-constraints requirements.lock .

FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /var/lib/hookmill --create-home hookmill
COPY --from=build /opt/hookmill /opt/hookmill
ENV PATH=/opt/hookmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOOKMILL_DATA=/var/lib/hookmill
USER 10001
# Relative paths of hookmill.toml start here.
WORKDIR /var/lib/hookmill
EXPOSE 8420
# `hookmill gateway` and `hookmill worker` become the server: it is PID 1, and SIGTERM drains it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["hookmill"]
CMD ["gateway", "--host", "0.0.0.0"]
