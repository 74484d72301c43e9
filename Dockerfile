# syntax=docker/dockerfile:1
# One image with the three programs; the chart or the command line says which one runs. Nothing in it needs a shell.
# Both bases can be replaced: BUILD_IMAGE needs Rust and a C compiler, RUN_IMAGE glibc, libgcc_s and CA certificates.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
# Cargo shows a plain log, and the toolchain is the image's: the file that pins it is left out by .dockerignore.
ENV CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bins -p tickwire-ingestor -p tickwire-edge -p tickwire-loadtest \
    && mkdir /out \
    && cp target/release/tickwire-ingestor target/release/tickwire-edge target/release/tickwire-loadtest /out/

FROM ${RUN_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tickwire" \
      org.opencontainers.image.description="Live exchange prices over NATS to any number of WebSocket clients" \
      org.opencontainers.image.source="https://github.com/tickwire/tickwire" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ /usr/local/bin/
USER 65532:65532
STOPSIGNAL SIGTERM
# Edge: clients 8080, admin 9090. Ingestor: admin 9091. Simulated exchange: 9900.
EXPOSE 8080 9090 9091 9900
CMD ["/usr/local/bin/tickwire-edge"]
