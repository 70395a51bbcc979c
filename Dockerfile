# A crc server as a small image: the program alone, run by a user without rights.
#
#   docker build -t crc .
#   docker run --name crc -p 3600:3600 -v crc-data:/data crc
#   docker exec crc crc ctl --control /data/crc.sock users

FROM rust:1.95-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY web web
COPY benches benches
COPY examples examples
COPY crc-tests crc-tests
COPY grpc grpc
RUN cargo build --release --locked --package crc \
    && mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/crc /usr/local/bin/crc
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
EXPOSE 3600
ENV CRC_LISTEN=0.0.0.0:3600 \
    CRC_CONTROL=/data/crc.sock \
    CRC_MAILBOX=/data/mail.db
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
    CMD ["/usr/local/bin/crc", "ctl", "num_users"]
ENTRYPOINT ["/usr/local/bin/crc"]
CMD ["server"]
