# One image per style, with all of its services; the argument says which one runs:
#
#   docker build --build-arg STYLE=restful -t arch-homework/restful:0.1.0 .
#   docker run arch-homework/restful:0.1.0 gateway --help
#
# The base images can be replaced, for instance by those of a mirror. BUILD_IMAGE has Rust, a C and a C++ compiler, make and perl
# (librdkafka and OpenSSL are compiled from source); RUN_IMAGE has a glibc that is not older, and root certificates.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

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
# zlib goes into the program: the final image has none, and libz-sys would link the one that it finds here.
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
COPY ${STYLE} ${STYLE}
# A checkout may be older than the layer above, and cargo goes by times.
RUN find shared "$STYLE" -name '*.rs' -exec touch '{}' + \
    && cargo build --release --locked --package "$STYLE" --features tls \
    && strip -o /service "target/release/$STYLE"
# The final image has glibc and no other library. libgcc, 0.1 MB, comes along; whatever else the program needs is better found
# out here than by a pod that does not start.
RUN mkdir /libraries && cp "$(ldd /service | awk '$1 == "libgcc_s.so.1" { print $3 }')" /libraries/ \
    && ! ldd /service | grep -vE '^\s*(linux-vdso|libgcc_s|libc|libm|libdl|libpthread|librt|/lib(64)?/ld-linux)[-.]' \
    && /service --version

FROM ${RUN_IMAGE}
ARG STYLE
LABEL org.opencontainers.image.title="arch-homework ${STYLE}" \
      org.opencontainers.image.description="One order, told in the style ${STYLE}: gateway, order, billing and notification" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /libraries /usr/lib
COPY --from=build /service /service
# The loopback address, which is the default, can be reached from within the container only.
ENV LISTEN=0.0.0.0:8080
EXPOSE 8080
# By number: Kubernetes cannot tell that a name is not root's.
USER 65532:65532
ENTRYPOINT ["/service"]
