FROM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /usher ./cmd/usher

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /usher /usher
WORKDIR /etc/usher
EXPOSE 8080
# No shell in here: the binary asks itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usher", "healthcheck", "--url", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/usher"]
CMD ["serve", "--config", "/etc/usher/usher.yaml"]
