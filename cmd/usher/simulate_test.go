package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/messenger/simulator"
)

// echobot is the scene that the bot in Python plays, and its directory.
const echobot = "../../testdata/echobot"

// startEchobot starts the bot in Python and returns its webhook's address. It
// ends with the test.
func startEchobot(t *testing.T, graph, secret string) string {
	t.Helper()
	python, err := osexec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on PATH")
	}
	c := osexec.CommandContext(t.Context(), python, filepath.Join(echobot, "echobot.py"), "0")
	c.Env = append(os.Environ(), "GRAPH_URL="+graph, "PAGE_TOKEN=simulator-page-token", "APP_SECRET="+secret, "VERIFY_TOKEN=simulator-verify-token")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Wait() }) // it was killed as the test's context ended
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "listens at ")
	if err != nil || !ok {
		t.Fatalf("echobot says %q, %v", line, err)
	}
	return address
}

// freeAddress returns an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().String()
}

// A bot in another language is played with over HTTP, and the scene goes as it is
// written.
func TestSimulateEchobot(t *testing.T) {
	t.Parallel()
	at := freeAddress(t)
	hook := startEchobot(t, "http://"+at, "simulator-app-secret")
	ledger := filepath.Join(t.TempDir(), "ledger.jsonl")
	code, out, errs := exec(t, nil, "simulate", "--listen", at, "--webhook", hook, "--script", filepath.Join(echobot, "echo.txt"), "--ledger", ledger)
	if code != exitOK || !strings.Contains(out, "echo.txt: as written\n") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	book, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	var said int
	for line := range strings.Lines(string(book)) {
		var e simulator.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Call != nil && e.Call.Edge == simulator.EdgeMessages && e.Call.OK() {
			said++
		}
	}
	if said != 3 {
		t.Errorf("the ledger has %d messages of the bot, want 3", said)
	}
}

// A bot that checks signatures with another secret hears nothing: the scene says
// where it went otherwise.
func TestSimulateWithAWrongSecret(t *testing.T) {
	t.Parallel()
	at := freeAddress(t)
	hook := startEchobot(t, "http://"+at, "another secret")
	file := filepath.Join(t.TempDir(), "hello.txt")
	scene := "10:00 ann says hello\n> to usher, messaging: message \"hello\"\n> usher sends \"hello\"\n> to usher, messaging: echo of usher \"hello\"\n"
	if err := os.WriteFile(file, []byte(scene), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := exec(t, nil, "simulate", "--listen", at, "--webhook", hook, "--script", file, "--patience", "300ms")
	for _, want := range []string{"-    3  > usher sends \"hello\"\n", "+       > to usher, messaging: message \"hello\" → 401\n", ", attempt 4 → 401\n"} {
		if code != exitFailed || !strings.Contains(out, want) {
			t.Errorf("exit %d, want 1 and %q\n%s%s", code, want, out, errs)
		}
	}
	if !strings.Contains(errs, "1 of 1 scene went otherwise than written") {
		t.Errorf("says %q", errs)
	}
}

// What is typed and what happens is told line by line; whoever has ended typing
// still has a Page.
func TestSimulateTyped(t *testing.T) {
	t.Parallel()
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(r.URL.Query().Get("hub.challenge")))
		}
	}))
	defer bot.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	typed, typing := io.Pipe()
	later := func() { // once what was typed has happened
		go func() { _, _ = io.WriteString(typing, "/later 25h\n"); _ = typing.Close() }()
	}
	out := io.MultiWriter(
		&watched{signs: []string{"ann's thread: inbox"}, stop: sync.OnceFunc(later)},
		&watched{signs: []string{"ann's thread: idle"}, stop: stop},
	)
	seen := &watched{}
	out = io.MultiWriter(out, seen)
	go func() { _, _ = io.WriteString(typing, "hello\n/agent Kim here\n/tap Yes\n/who\n/help\n") }()
	if code := run(ctx, []string{"simulate", "--listen", "127.0.0.1:0", "--webhook", bot.URL}, os.LookupEnv, typed, out, out); code != exitOK {
		t.Fatalf("exit %d\n%s", code, seen)
	}
	for _, want := range []string{
		"which returned the challenge", `ann says "hello"`, `to bot, messaging: message "hello"`, `agent replies "Kim here" (ann)`,
		"ann's thread: inbox until ", `to bot, standby: echo of inbox "Kim here"`, "not on the phone", "controls Ann's thread until", "/later 12h",
	} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("does not say %q:\n%s", want, seen)
		}
	}
}

// What cannot be is refused at once: 2 for the command line and the scenes, 1 for
// a bot that is not there or does not know the token.
func TestSimulateRefuses(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(stranger.Close)
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.txt")
	if err := os.WriteFile(broken, []byte("10:00 ann sings\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown_doubt":    {[]string{"--doubt", "colour"}, 2, `--doubt: setting "colour": there is none of that name: there are `},
		"unknown_value":    {[]string{"--doubt", "idle_owner=me"}, 2, "want stays, default, default_send"},
		"unknown_done":     {[]string{"--done", "perhaps"}, 2, "--done: setting done=perhaps"},
		"default_by_doubt": {[]string{"--doubt", "default_app=1"}, 2, "use --default-app"},
		"two_routings":     {[]string{"--zero-config", "--default-app", "1"}, 2, "zero config has no default app"},
		"bad_app":          {[]string{"--app-id", "mine"}, 2, "want decimal digits"},
		"bad_batch":        {[]string{"--batch", "2000"}, 2, "outside 1 to 1000"},
		"update_nothing":   {[]string{"--update"}, 2, "--update needs --script"},
		"chaos_in_scenes":  {[]string{"--chaos", "1", "--script", broken}, 2, "--chaos and --script exclude each other"},
		"no_chaos":         {[]string{"--chaos", "1", "--chaos-every", "0s"}, 2, "--chaos-every 0s: want more"},
		"no_patience":      {[]string{"--patience", "0s"}, 2, "want more than 0s"},
		"no_scene":         {[]string{"--script", filepath.Join(dir, "none.txt")}, 2, "none.txt"},
		"broken_scene":     {[]string{"--script", broken}, 2, `broken.txt:1:11: ann cannot "sings"`},
		"no_ledger":        {[]string{"--ledger", filepath.Join(dir, "no", "ledger")}, 1, "--ledger: open"},
		"no_listener":      {[]string{"--listen", "127.0.0.1:99999"}, 1, "--listen: listen tcp"},
		"no_bot":           {[]string{"--listen", "127.0.0.1:0", "--webhook", "http://" + freeAddress(t), "--wait", "300ms"}, 1, "nobody answered within 300ms; start your bot"},
		"not_a_bot":        {[]string{"--listen", "127.0.0.1:0", "--webhook", stranger.URL}, 1, "status 404; your bot must answer GET"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := exec(t, nil, append([]string{"simulate"}, tt.args...)...)
			if code != tt.code || !strings.Contains(errs, tt.says) {
				t.Errorf("exit %d, says %q, want %d and %q\n%s", code, errs, tt.code, tt.says, out)
			}
		})
	}
}

// The scenes of the tree can be played by hand, one after the other on one Page,
// and written.
func TestSimulateScenes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/scenes/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	args := []string{"simulate"}
	for _, f := range files {
		args = append(args, "--script", f)
	}
	code, out, errs := exec(t, nil, args...)
	if code != exitOK || strings.Count(out, ": as written\n") != len(files) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	fresh := filepath.Join(t.TempDir(), "fresh.txt")
	if err := os.WriteFile(fresh, []byte("10:00 ann says hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"written anew", "as written"} {
		if code, out, errs := exec(t, nil, "simulate", "--script", fresh, "--update"); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, %q, want %q\n%s", code, out, want, errs)
		}
	}
}

func TestSimulateOpenAPI(t *testing.T) {
	t.Parallel()
	if code, out, _ := exec(t, nil, "simulate", "--openapi"); code != exitOK || out != string(simulator.OpenAPI()) {
		t.Errorf("exit %d, %.100q", code, out)
	}
}

// With --enforce-rate Meta's limits hold: two conversations in a second, say.
func TestSimulateRates(t *testing.T) {
	t.Parallel()
	const twice = "10:00 usher calls method=GET path=me/conversations\n> answer: {\"data\":[]}\n"
	scene := filepath.Join(t.TempDir(), "rates.txt")
	text := twice + twice + "10:00 usher calls method=GET path=me/conversations\n" +
		"> refused 613: (#613) Calls to this api have exceeded the rate limit.\n"
	if err := os.WriteFile(scene, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := exec(t, nil, "simulate", "--enforce-rate", "--script", scene); code != exitOK {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, _, _ := exec(t, nil, "simulate", "--script", scene); code != exitFailed {
		t.Errorf("exit %d where rates are not enforced, want %d", code, exitFailed)
	}
}

// With --chaos things fail by themselves, and it is told.
func TestSimulateChaos(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out := &watched{signs: []string{"meta fails "}, stop: stop}
	if code := run(ctx, []string{"simulate", "--listen", "127.0.0.1:0", "--chaos", "7", "--chaos-every", "10ms"}, os.LookupEnv, strings.NewReader(""), out, out); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(out.String(), "meta fails ") {
		t.Errorf("nothing failed:\n%s", out)
	}
}
