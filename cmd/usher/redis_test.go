package main

import (
	"os"
	osexec "os/exec"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"usher/config"
)

// An embedded Redis keeps what was written over a stop and a start.
func TestEmbeddedRedisKeepsItsData(t *testing.T) {
	t.Parallel()
	if _, err := osexec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on PATH")
	}
	dir, err := os.MkdirTemp("", "usher") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	settings := config.Redis{Data: dir, Server: config.Server{Kind: config.Embedded}}
	for i, want := range []string{"", "kept"} {
		rdb, stop, err := connectRedis(t.Context(), settings, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		got, _ := rdb.Get(t.Context(), "key").Result() // nil the first time
		if got != want {
			t.Errorf("start %d: key = %q, want %q", i+1, got, want)
		}
		if err := rdb.Set(t.Context(), "key", "kept", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Where there is no server to embed, the error says what to do.
func TestEmbeddedRedisNeedsAServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, _, err := connectRedis(t.Context(), config.Redis{Data: t.TempDir(), Server: config.Server{Kind: config.Embedded}}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "install one") {
		t.Errorf("connectRedis() error = %v, want what to install", err)
	}
}
