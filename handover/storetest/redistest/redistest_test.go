package redistest_test

import (
	"bufio"
	"net"
	"testing"

	"usher/handover/storetest/redistest"
)

// A server answers while its test runs, with the settings it was given, and is
// gone afterwards.
func TestStartServer(t *testing.T) { //nolint:tparallel // the server must be gone when the subtest ends
	t.Parallel()
	if len(redistest.Servers()) == 0 {
		t.Skip("neither redis-server nor valkey-server is on PATH")
	}
	var addr string
	t.Run("running", func(t *testing.T) {
		addr = redistest.Start(t, "--requirepass", "secret")
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("AUTH secret\r\n")); err != nil {
			t.Fatal(err)
		}
		got, err := bufio.NewReader(conn).ReadString('\n')
		if want := "+OK\r\n"; got != want {
			t.Errorf("AUTH = %q, %v, want %q", got, err, want)
		}
	})
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Errorf("the server at %s outlived its test", addr)
	}
}
