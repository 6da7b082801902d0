package main

import (
	"bytes"
	"encoding/json"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/messenger/simulator"
)

// documented runs the commands of a document in a directory of their own, in their
// order, as a shell would. A server is left running for the commands after it, until
// the next one of its kind.
type documented struct {
	t       *testing.T
	dir     string
	env     []string
	stand   *strings.Replacer // puts the test's addresses for the document's
	servers map[string]func() // ends those that run, by their kind
}

func document(t *testing.T, stand *strings.Replacer) *documented {
	t.Helper()
	d := &documented{t: t, dir: t.TempDir(), stand: stand, servers: map[string]func(){}}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for from, to := range map[string]string{
		self: filepath.Join(bin, "usher"), filepath.Join(root, "testdata"): filepath.Join(d.dir, "testdata"),
	} {
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	d.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return d
}

func (d *documented) command(line string) *osexec.Cmd {
	c := osexec.CommandContext(d.t.Context(), "sh", "-c", "exec "+d.stand.Replace(line))
	if strings.Contains(line, "=") && !strings.HasPrefix(line, "usher") && !strings.HasPrefix(line, "curl") {
		c = osexec.CommandContext(d.t.Context(), "sh", "-c", "exec env "+d.stand.Replace(line))
	}
	c.Dir, c.Env, c.WaitDelay = d.dir, d.env, 5*time.Second
	return c
}

// run runs a command to its end, which must be a success.
func (d *documented) run(line string) {
	d.t.Helper()
	if out, err := d.command(line).CombinedOutput(); err != nil {
		d.t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// serve starts a command, and returns once its output has the sign.
func (d *documented) serve(kind, line, sign string) {
	d.t.Helper()
	if stop := d.servers[kind]; stop != nil {
		stop()
	}
	c := d.command(line)
	up := make(chan struct{})
	out := &watched{signs: []string{sign}, stop: sync.OnceFunc(func() { close(up) })}
	c.Stdout, c.Stderr = out, out
	in, err := c.StdinPipe() // never ends
	if err != nil {
		d.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // how it ended is seen in its output
		close(ended)
	}()
	stop := sync.OnceFunc(func() {
		_ = c.Process.Kill() // it may have ended by itself
		<-ended
		_ = in.Close()
	})
	d.servers[kind] = stop
	d.t.Cleanup(stop)
	select {
	case <-up:
	case <-ended:
		d.t.Fatalf("%s: it ended\n%s", line, out)
	case <-d.t.Context().Done():
		d.t.Fatalf("%s: not up\n%s", line, out)
	}
}

// Every command of docs/simulator.md works, in its order.
func TestSimulatorDocCommands(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"python3", "curl", "sh"} {
		if _, err := osexec.LookPath(tool); err != nil {
			t.Skipf("%s is not on PATH", tool)
		}
	}
	doc, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	graph, hook := freeAddress(t), freeAddress(t)
	_, port, _ := strings.Cut(hook, ":")
	d := document(t, strings.NewReplacer("127.0.0.1:8090", graph, "127.0.0.1:5000", hook, "echobot.py 5000", "echobot.py "+port))
	lines := shellLines(string(doc))
	const up = "Ctrl-C ends it"
	live := "" // the simulator that people type at
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case slices.Contains(words, "python3"):
			d.serve("bot", line, "echobot listens")
		case words[0] == "usher" && slices.Contains(words, "--script"):
			d.servers["simulator"]() // it is at the address
			d.run(line + " --listen 127.0.0.1:8090")
			d.serve("simulator", live, up)
		case words[0] == "usher" && !slices.Contains(words, "--openapi"):
			live = line + " --listen 127.0.0.1:8090"
			d.serve("simulator", live, up)
		case words[0] == "curl", words[0] == "usher":
			d.run(line)
		default:
			t.Errorf("the document's command %q is run by no test", line)
		}
	}
	if len(lines) < 20 {
		t.Errorf("found %d commands", len(lines))
	}
}

// The doubts of docs/simulator.md are those that there are, with their defaults.
func TestSimulatorDocDoubts(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := simulator.New(simulator.Options{App: stageApp, AppSecret: stageSecret, PageToken: stageToken, Page: stagePage})
	if err != nil {
		t.Fatal(err)
	}
	defer meta.Close()
	b, err := json.Marshal(meta.Settings().Doubts)
	if err != nil {
		t.Fatal(err)
	}
	var doubts map[string]json.RawMessage
	if err := json.Unmarshal(b, &doubts); err != nil {
		t.Fatal(err)
	}
	for name, value := range doubts {
		if want := "\n| `" + name + "` | `" + string(bytes.Trim(value, `"`)) + "`"; !strings.Contains(string(doc), want) {
			t.Errorf("docs/simulator.md lacks the row %q", want)
		}
	}
	if got := strings.Count(string(doc), "\n| `"); got != len(doubts) {
		t.Errorf("docs/simulator.md has %d doubts, want %d", got, len(doubts))
	}
}
