# One image per style, with all of its services; the argument says which one runs:
#
#   docker build --build-arg STYLE=restful -t arch-homework/restful:0.1.0 .
#   docker run arch-homework/restful:0.1.0 gateway --help
#
# The base image can be replaced, for instance by one of a mirror. It has Rust, a C and a C++ compiler, make and perl (librdkafka
# and OpenSSL are compiled from source), and the certificates of public authorities.
ARG BUILD_IMAGE=rust:1.95-bookworm

# The workspace without its code: manifests, and an empty file where cargo looks for a crate. What comes out changes only
# with the manifests, so the layer of the dependencies below stays as it is when code changes.
FROM ${BUILD_IMAGE} AS manifests
WORKDIR /workspace
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path ./tests/main.rs \
        -delete \
    && find . -type d -empty -delete \
    && find . -name lib.rs -exec truncate --size 0 '{}' + \
    && echo 'fn main() {}' > /tmp/main.rs \
    && find . -name main.rs -exec cp /tmp/main.rs '{}' ';'

FROM ${BUILD_IMAGE} AS build
ARG STYLE
# zlib goes into the program, instead of the one that libz-sys finds here.
ENV LIBZ_SYS_STATIC=1
# Line tables would be stripped below.
ENV CARGO_PROFILE_RELEASE_DEBUG=false CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
WORKDIR /workspace
COPY --from=manifests /workspace .
# The style and what it depends on, and nothing else: `study`, the sandbox and the tests are never built here, and so crash
# points are not switched on.
RUN test -n "$STYLE" || { echo 'say which style: --build-arg STYLE=restful'; exit 1; } \
    && cargo build --release --locked --package "$STYLE" --features tls
COPY shared shared
# Of some styles they are the source.
COPY api-specs api-specs
COPY ${STYLE} ${STYLE}
# A checkout may be older than the layer above, and cargo goes by times.
RUN find shared "$STYLE" -name '*.rs' -exec touch '{}' + \
    && cargo build --release --locked --package "$STYLE" --features tls \
    && strip -o /service "target/release/$STYLE"
# What the program needs, and nothing else: the libraries that it is linked with, where its loader looks for them, and the
# certificates. It starts with that alone, or the image is not built.
RUN for file in /service /etc/ssl/certs/ca-certificates.crt $(ldd /service | grep -o '/[^ ]*'); do \
        mkdir -p "/image$(dirname "$file")" && cp -L "$file" "/image$file"; \
    done \
    && chroot /image /service --version

# No shell, no package manager.
FROM scratch
ARG STYLE
LABEL org.opencontainers.image.title="arch-homework ${STYLE}" \
      org.opencontainers.image.description="One order, told in the style ${STYLE}: all of its services" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /image /
# The loopback address, which is the default, can be reached from within the container only.
ENV LISTEN=0.0.0.0:8080
EXPOSE 8080
# By number: Kubernetes cannot tell that a name is not root's.
USER 65532:65532
ENTRYPOINT ["/service"]
