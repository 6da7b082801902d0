package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usher/messenger/simulator"
)

// Every command of the README works, in its order, on a machine that has what the
// README says.
func TestReadmeCommands(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	env := readmeEnv(t)
	for _, line := range shellLines(string(readme)) {
		words := strings.Fields(line)
		switch {
		case slices.Equal(words[:2], []string{"go", "run"}), strings.HasSuffix(words[0], "/usher"):
			args := words[1:]
			if words[0] == "go" {
				args = words[3:]
			}
			runUntilUp(t, env, line, args)
		case words[0] == "make":
			command(t, root, "make", append([]string{"--dry-run"}, words[1:]...)...)
		case slices.Equal(words[:2], []string{"go", "build"}):
			out, err := filepath.Abs("usher")
			if err != nil {
				t.Fatal(err)
			}
			command(t, root, "go", "build", "-o", out, words[len(words)-1])
		default:
			t.Errorf("the README's command %q is run by no test", line)
		}
	}
}

// shellLines returns the lines of a document's sh blocks; one that ends with \ goes
// on in the next.
func shellLines(md string) (lines []string) {
	inside := false
	for line := range strings.Lines(md) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			if n := len(lines); n > 0 && strings.HasSuffix(lines[n-1], "\\") {
				lines[n-1] = strings.TrimSuffix(lines[n-1], "\\") + line
			} else {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// readmeEnv is what the README lets its reader fill in: a Redis, and an app and a
// Page at a Meta that is simulated here.
func readmeEnv(t *testing.T) map[string]string {
	t.Helper()
	meta, err := simulator.New(simulator.Options{
		App: stageApp, AppSecret: stageSecret, VerifyToken: stageVerify, PageToken: stageToken, Page: stagePage, CheckProof: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	graph := httptest.NewServer(meta)
	t.Cleanup(func() { graph.Close(); meta.Close() })
	return map[string]string{
		"USHER_REDIS_URL": "redis://" + miniredis.RunT(t).Addr(), "USHER_MESSENGER_GRAPH_URL": graph.URL,
		"USHER_MESSENGER_APP_ID": string(stageApp), "USHER_MESSENGER_APP_SECRET": stageSecret,
		"USHER_MESSENGER_VERIFY_TOKEN": stageVerify, "USHER_MESSENGER_PAGES_0_ID": string(stagePage),
		"USHER_MESSENGER_PAGES_0_ACCESS_TOKEN": stageToken, "USHER_LISTEN": "127.0.0.1:0", "USHER_PRIVATE_LISTEN": "127.0.0.1:0",
	}
}

// runUntilUp runs a command line; one that stays up is stopped once it says that
// it is.
func runUntilUp(t *testing.T, env map[string]string, line string, args []string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out := &watched{stop: stop, signs: []string{"Usher is up", "Ctrl-C ends it"}}
	lookup := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	if code := run(ctx, args, lookup, strings.NewReader(""), out, out); code != exitOK {
		t.Errorf("%s: exit %d\n%s", line, code, out)
	}
}

// watched is output that stops its program when it shows a sign.
type watched struct {
	mu    sync.Mutex
	text  bytes.Buffer
	stop  func()
	signs []string
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(b)
	if slices.ContainsFunc(w.signs, func(s string) bool { return strings.Contains(w.text.String(), s) }) {
		w.stop()
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	c := osexec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
