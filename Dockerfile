# A small image with orc, for a user who is not root. The ledger and the run folders are on the volume
# /data, where orc starts.
#   docker build -t orc .
#   docker run --rm -v orc-data:/data -e OPENAI_API_KEY -v "$PWD":/specs:ro orc run /specs/hello.yaml
FROM python:3.13-slim AS build
WORKDIR /source
# What a wheel is built from; `orc/` has links to the five folders.
COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY docs/man docs/man
COPY examples examples
COPY ledger ledger
COPY orc orc
COPY projections projections
COPY providers providers
COPY scheduler scheduler
RUN python -m venv --without-pip /opt/orc \
  && python -m pip --python /opt/orc/bin/python install --no-cache-dir --disable-pip-version-check .

FROM python:3.13-slim
# orc runs commands, which may leave processes behind: tini is process 1, which reaps them and passes
# signals on. On SIGTERM orc interrupts its steps and exits with 143; the job can be resumed.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --user-group --create-home orc \
  && install --directory --owner=orc --group=orc /data
COPY --from=build /opt/orc /opt/orc
ENV PATH=/opt/orc/bin:$PATH ORC_DB=/data/runs.db
USER 10001:10001
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "orc"]
CMD ["--help"]
