package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// exec runs a command line in process.
func exec(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	lookup := func(name string) (string, bool) {
		s, ok := env[name]
		return s, ok
	}
	code = run(t.Context(), args, lookup, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// Every command explains itself and has examples that name it.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: Short %q, Example %q: both are wanted, and an example of it", c.CommandPath(), c.Short, c.Example)
		}
		args := strings.Fields(c.CommandPath() + " --help")[1:]
		if code, out, _ := exec(t, nil, args...); code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("usher %s exits %d and prints %q, want 0 and examples", strings.Join(args, " "), code, out)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&program{}).rootCommand())
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	tests := map[string]struct {
		env  map[string]string
		args []string
		code int
		says string
	}{
		"by_listen":                  {env: map[string]string{"USHER_LISTEN": ":" + port}},
		"by_url":                     {args: []string{"--url", server.URL + "/healthz"}},
		"unwell":                     {args: []string{"--url", server.URL + "/readyz"}, code: 1, says: "503 Service Unavailable: Redis does not answer"},
		"not_running":                {args: []string{"--url", closed.URL}, code: 1, says: "connection refused"},
		"no_fixed_port":              {env: map[string]string{"USHER_LISTEN": ":0"}, code: 1, says: "names no port"},
		"settings_asked_for_missing": {env: map[string]string{"USHER_LISTEN": ":" + port}, args: []string{"--config", "none.yaml"}, code: 1, says: "none.yaml"},
		"not_a_url":                  {args: []string{"--url", "://"}, code: 1, says: "missing protocol scheme"},
		"unknown_flag":               {args: []string{"--port", "1"}, code: 2, says: "unknown flag: --port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := exec(t, tt.env, append([]string{"healthcheck"}, tt.args...)...)
			if code != tt.code || !strings.Contains(stderr, tt.says) {
				t.Errorf("exits %d and says %q, want %d and %q", code, stderr, tt.code, tt.says)
			}
		})
	}
}

// The service is asked where listen says, on this machine.
func TestHealthURL(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"": "http://127.0.0.1:8080/healthz", ":81": "http://127.0.0.1:81/healthz", "0.0.0.0:81": "http://127.0.0.1:81/healthz",
		"[::]:81": "http://127.0.0.1:81/healthz", "10.0.0.7:81": "http://10.0.0.7:81/healthz", "[::1]:81": "http://[::1]:81/healthz",
	} {
		p := &program{env: func(name string) (string, bool) { return listen, name == "USHER_LISTEN" }}
		if got, err := p.healthURL("none.yaml", false); got != want || err != nil {
			t.Errorf("listen %q: healthURL = %q, %v, want %q", listen, got, err, want)
		}
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}
	tests := map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"nothing_known": {nil, "devel"},
		"built_here":    {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "devel"},
		"with_commit":   {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: commit}, "devel (0123456789ab)"},
		"changed":       {&debug.BuildInfo{Settings: append(commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"})}, "devel (0123456789ab+changes)"},
		"installed":     {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := versionOf(tt.info); got != tt.want {
				t.Errorf("versionOf = %q, want %q", got, tt.want)
			}
		})
	}
}
