// Package redistest starts Redis servers for tests.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Servers returns the names of the servers on PATH that speak Redis's protocol:
// redis-server, valkey-server, both or neither.
func Servers() []string {
	var found []string
	for _, name := range []string{"redis-server", "valkey-server"} {
		if _, err := exec.LookPath(name); err == nil {
			found = append(found, name)
		}
	}
	return found
}

// Start starts the first of [Servers] and returns its address. It skips the test
// where there is none. See [StartServer].
func Start(tb testing.TB, args ...string) (addr string) {
	tb.Helper()
	servers := Servers()
	if len(servers) == 0 {
		tb.Skip("neither redis-server nor valkey-server is on PATH: apt-get install redis-server")
	}
	return StartServer(tb, servers[0], args...)
}

const (
	starts      = 3                // somebody else may take the port meanwhile
	startWithin = 20 * time.Second // for a busy machine
)

// StartServer starts the named server on a free port of 127.0.0.1, with a
// directory of its own, nothing written to disk unless args say so, and args as
// on its command line ("--appendonly", "yes"). It ends with the test.
func StartServer(tb testing.TB, name string, args ...string) (addr string) {
	tb.Helper()
	var err error
	for range starts {
		if addr, err = start(tb, name, args); err == nil {
			return addr
		}
	}
	tb.Fatalf("start %s: %v", name, err)
	return ""
}

func start(tb testing.TB, name string, args []string) (addr string, err error) {
	tb.Helper()
	port, err := freePort(tb.Context())
	if err != nil {
		return "", err
	}
	args = append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", tb.TempDir(),
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, args...)
	// Not by the test's context: cleanups of the test may want the server still.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), name, args...) //nolint:gosec // tests alone call it
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended matters to nobody
	stop := func() { _ = cmd.Process.Kill(); <-ended }

	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := await(tb.Context(), addr, ended); err != nil {
		stop()
		return "", fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	tb.Cleanup(stop)
	return addr, nil
}

// highestPort leaves room for the port of the cluster bus, which is 10,000 above.
const highestPort = 55_000

func freePort(ctx context.Context) (int, error) {
	for {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		addr, ok := l.Addr().(*net.TCPAddr)
		if err := l.Close(); err != nil {
			return 0, err
		}
		if ok && addr.Port <= highestPort {
			return addr.Port, nil
		}
	}
}

var errEnded = errors.New("the server ended by itself")

// await returns once the server answers.
func await(ctx context.Context, addr string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if ping(ctx, addr) {
			return nil
		}
		select {
		case <-again.C:
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %w", startWithin, ctx.Err())
		}
	}
}

func ping(ctx context.Context, addr string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	// One that wants a password answers as well.
	return err == nil && (reply == "+PONG\r\n" || strings.HasPrefix(reply, "-NOAUTH"))
}
