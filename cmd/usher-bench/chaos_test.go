package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// built is the program under test; "" where there is no Redis to test it on.
var built string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "baseline" { // a yardstick, in a process of its own
		main()
	}
	os.Exit(func() int {
		if _, err := findRedis(); err != nil {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "usher-bench-test-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		built = filepath.Join(dir, "usher")
		if out, err := osexec.Command("go", "build", "-tags", "failpoints", "-o", built, "usher/cmd/usher").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// exec runs a command line in process.
func exec(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// A short run with a few faults of each side breaks nothing, judges what it is
// there to judge, and leaves nothing behind.
func TestChaos(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "chaos.json")
	code, out, errs := exec(t, "chaos", "--usher", built, "--seed", "5", "--replicas", "2", "--for", "6s", "--faults", "12", "--customers", "40", "--json", file)
	if code != exitOK {
		t.Fatalf("exits %d:\n%s\n%s", code, out, errs)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results chaosResults
	if err := json.Unmarshal(b, &results); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for _, n := range results.Faults {
		faults += n
	}
	if faults != 12 || results.Seed != 5 || results.Figures.Acknowledged == 0 || results.Figures.Sends == 0 {
		t.Errorf("%d faults, %+v; want 12, seed 5, events and messages", faults, results)
	}
	for _, g := range results.Guarantees {
		if tried := []string{"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G9", "G11", "G12", "G13", "G14"}; g.Held == 0 && slices.Contains(tried, g.ID) {
			t.Errorf("%s was not tried", g.ID)
		}
		if !strings.Contains(out, g.Says) {
			t.Errorf("the table lacks %s", g.ID)
		}
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Who gives up in the midst of a run leaves no process and no file behind.
func TestChaosInterrupted(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	said := &watch{said: "events acknowledged", then: cancel}
	code := run(ctx, []string{"chaos", "--usher", built, "--for", "10m", "--faults", "0", "--replicas", "1", "--customers", "2"}, &strings.Builder{}, said)
	if code != exitFailed || !strings.Contains(said.text.String(), "context canceled") {
		t.Errorf("exits %d and says %q, want %d and why", code, &said.text, exitFailed)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// watch acts when something is said.
type watch struct {
	text strings.Builder
	said string
	then func()
}

func (w *watch) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.said) {
		w.then()
	}
	return w.text.Write(b)
}

// Every command explains itself and has examples that name it.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	for _, c := range (&program{}).rootCommand().Commands() {
		if c.Short == "" || !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: Short %q, Example %q: both are wanted, and an example of it", c.CommandPath(), c.Short, c.Example)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"help":             {args: []string{"chaos", "--help"}, says: "Examples:"},
		"nothing":          {args: nil, says: "Usage:"},
		"unknown_command":  {args: []string{"choas"}, code: 2, says: `unknown command "choas"`},
		"unknown_flag":     {args: []string{"chaos", "--speed", "3"}, code: 2, says: "unknown flag: --speed"},
		"no_such_redis":    {args: []string{"chaos", "--redis", "galaxy"}, code: 2, says: "--redis galaxy: want single, sentinel or cluster"},
		"all_at_once":      {args: []string{"chaos", "--replicas", "0", "--lease", "1m"}, code: 2, says: "--replicas 0: want 1 to 16\nflag out of bounds: --lease 1m0s: want 1s to 20s"},
		"no_such_fault":    {args: []string{"chaos", "--only", "failover"}, code: 2, says: "--only failover: want kinds of faults that Redis single can have"},
		"no_such_length":   {args: []string{"chaos", "--only", "redis stalled=long"}, code: 2, says: "--only redis stalled=long: want a duration after the ="},
		"no_time":          {args: []string{"chaos", "--for", "1ms"}, code: 2, says: "--for 1ms: want 1s or more"},
		"no_such_batch":    {args: []string{"load", "--batches", "0"}, code: 2, says: "--batches [0]: want 1 to 1000 each"},
		"no_rounds":        {args: []string{"load", "--rounds", "0"}, code: 2, says: "--rounds 0: want 1 to 99"},
		"no_yardstick":     {args: []string{"load", "--url", "http://x/webhook", "--baseline"}, code: 2, says: "--baseline true: want no --url"},
		"nobody_there":     {args: []string{"load", "--url", "http://127.0.0.1:1/webhook"}, code: 1, says: "nobody answers: of "},
		"baseline_of_what": {args: []string{"baseline", "wc"}, code: 1, says: `want echo or sketch: "wc"`},
		"soak_too_short":   {args: []string{"soak", "--for", "1m"}, code: 2, says: "--for 1m0s: want 20 times --every or more"},
		"no_usher":         {args: []string{"chaos", "--usher", "/nowhere/usher"}, code: 1, says: "--usher: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := exec(t, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.says) {
				t.Errorf("exits %d and says %q, want %d and %q", code, out+errs, tt.code, tt.says)
			}
		})
	}
}

// The same seed gives the same faults, another one others; every kind comes.
func TestSchedule(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{redisSingle, redisSentinel, redisCluster} {
		all := kinds(mode, 2*time.Second)
		a, again, other := schedule(7, 500, all), schedule(7, 500, all), schedule(8, 500, all)
		if !slices.Equal(a, again) || slices.Equal(a, other) {
			t.Errorf("%s: the faults do not follow from the seed", mode)
		}
		for _, k := range all {
			n := 0
			for _, f := range a {
				if f.Kind == k.name {
					n++
					if f.For < k.from || f.For > k.to || f.Size < k.least || f.Size > k.most || f.At < 0 || f.At > 1 {
						t.Errorf("%s: %v is out of bounds", mode, f)
					}
				}
			}
			if n == 0 {
				t.Errorf("%s: no %s among 500 faults", mode, k.name)
			}
		}
		if !slices.IsSortedFunc(a, func(x, y fault) int { return int(1e9 * (x.At - y.At)) }) {
			t.Errorf("%s: the faults are not in order", mode)
		}
	}
}

// A plan is printed, and nothing is started for it.
func TestPlan(t *testing.T) {
	t.Parallel()
	code, out, errs := exec(t, "chaos", "--usher", "/nowhere/usher", "--seed", "7", "--faults", "25", "--plan")
	if code != exitOK || strings.Count(out, "\n") != 25 {
		t.Errorf("exits %d and prints %q, %q; want 0 and 25 faults", code, out, errs)
	}
	_, out, _ = exec(t, "chaos", "--faults", "25", "--only", "redis stalled=6s,redis cut", "--plan")
	if stalled, cut := strings.Count(out, " redis stalled "), strings.Count(out, " redis cut "); stalled+cut != 25 || stalled != strings.Count(out, " for 6s,") || cut == 0 {
		t.Errorf("only these are wanted, stalled for 6s: %s", out)
	}
}

// A process is killed while it is stopped, with what it has started.
func TestChildIsKilled(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	c, err := start("sh", os.Environ(), func(string) {}, "/bin/sh", "-c", "sleep 600 & echo $! > "+pid+"; kill -STOP $$; wait")
	if err != nil {
		t.Fatal(err)
	}
	if err := poll(t.Context(), func() bool { b, err := os.ReadFile(pid); return err == nil && len(b) > 1 }); err != nil {
		t.Fatal(err)
	}
	if err := c.kill(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	gone := func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
		return errors.Is(err, fs.ErrNotExist) || strings.Contains(string(stat), ") Z ")
	}
	if err := poll(t.Context(), gone); err != nil {
		t.Errorf("what it had started lives on: %v", err)
	}
}

// A process may not heed a signal at once, as Redis does not while it is busy with its
// file, or never.
func TestChildIsToldAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		heeds    string // how often it is told before it ends
		patience time.Duration
		code     int
	}{
		"at_once":     {"1", time.Minute, 7},
		"when_idle":   {"2", time.Minute, 7},
		"not_at_all":  {"100", time.Millisecond, -1},
		"without_end": {"100", 1500 * time.Millisecond, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ready := make(chan string, 10)
			c, err := start("sh", os.Environ(), func(line string) { ready <- line }, "/bin/sh", "-c",
				"n=0; trap 'n=$((n+1)); [ $n -ge "+tt.heeds+" ] && exit 7' TERM; echo ready; while :; do sleep 0.01; done")
			if err != nil {
				t.Fatal(err)
			}
			<-ready
			if err := c.end(syscall.SIGTERM, tt.patience); err != nil {
				t.Fatal(err)
			}
			<-c.ended
			if c.code != tt.code {
				t.Errorf("it ended with code %d, want %d", c.code, tt.code)
			}
		})
	}
}
